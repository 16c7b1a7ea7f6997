"""What the tests of bv share: running it, a daemon over a fake host, and TAP.

A test is a function whose name begins with "test_"; run() calls those of a module in their order, prints TAP and gives
the exit status. Arguments of a test program: BUILD-DIRECTORY SOURCE-DIRECTORY.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

BUILD, SOURCE = (os.path.abspath(p) for p in sys.argv[1:3])
BV = os.path.join(BUILD, 'cli', 'bv')
DAEMON = os.path.join(BUILD, 'daemon', 'blockvisord')
PATIENCE_S = 120


class Result:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()

    def __repr__(self):
        return 'exit %d\n--- stdout\n%s\n--- stderr\n%s' % (self.code, self.out, self.err)


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith('BV_') and k != 'NO_COLOR'}
    env.update({'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'}, **more)
    return env


def bv(*args, host=None, stdin=b'', **env):
    """Runs bv to its end; host is a URI for BV_HOST."""
    if host:
        env['BV_HOST'] = host
    return Result(subprocess.run([BV, *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=environment(**env), timeout=PATIENCE_S))


class Daemon:
    """blockvisord over a fake host, in a directory of its own; `with Daemon('nodes=3') as d: bv(..., host=d.host)`."""

    def __init__(self, settings='', *options):
        self.dir = tempfile.mkdtemp(prefix='bv-')
        self.socket = os.path.join(self.dir, 's')
        self.host = 'unix:' + self.socket
        self.process = subprocess.Popen(
            [DAEMON, '--uri', 'fake:?' + settings, '--socket', self.socket, *options], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=environment())

    def __enter__(self):
        line = self.process.stderr.readline()  # it says when it serves
        if b'serves' not in line:
            raise RuntimeError('blockvisord: ' + line.decode() + self.process.stderr.read().decode())
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        said = self.process.stderr.read().decode()
        self.process.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        if exc[0] is None and (code != 0 or 'Sanitizer' in said):
            raise AssertionError('blockvisord ended with %d: %s' % (code, said))


def until(condition, what):
    """Waits for something that will come soon."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError('no ' + what)
        time.sleep(0.01)


def expect(result, code=0, out=None, err=None):
    """Asserts an exit status and pieces of both outputs; None: there is none."""
    assert result.code == code, result
    for text, wanted in ((result.out, out), (result.err, err)):
        if wanted is None:
            assert text == '', result
        for piece in [wanted] if isinstance(wanted, str) else wanted or []:
            assert piece in text, ('%r is missing: ' % piece) + repr(result)
    return result


def run(module):
    tests = [(name, f) for name, f in vars(module).items() if name.startswith('test_')]
    failed = 0
    print('1..%d' % len(tests))
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print('ok %d - %s' % (number, name[5:]))
        except Exception:  # whatever it is, the test failed
            failed += 1
            print('not ok %d - %s' % (number, name[5:]))
            print('\n'.join('# ' + line for line in traceback.format_exc().splitlines()))
        sys.stdout.flush()
    return 1 if failed else 0
