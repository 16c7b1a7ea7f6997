"""bv as its users run it: every command as a table and as JSON, exit statuses, usage errors, pipes, interrupts."""
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile

import cli
from cli import BV, Daemon, bv, environment, expect, until

FAKE3 = 'fake:?nodes=3'


# ---- every command, against a daemon ----

def test_nodes():
    with Daemon('nodes=4') as d:
        out = expect(bv('node', 'ls', host=d.host), out=['ID', 'Name', 'node-0001', 'running', 'stopped']).out
        assert len(out.splitlines()) == 6 and 'Problem' not in out, out
        assert '\033' not in out  # no colours outside a terminal
        out = expect(bv('node', 'list', '-r', host=d.host), out='running').out
        assert 'stopped' not in out
        expect(bv('node', 'ls', '--tag', 'none', host=d.host), out='No nodes found.')
        expect(bv('node', 'create', 'fake/fake-main', '--name', 'new', '--tag', 'a', '--tag', 'b', '-p', 'block-ms=50',
                  '--cpus', '1.5', '--memory-mb', '64', '--network=none', host=d.host), out='Created node `new` with ID')
        expect(bv('node', 'ls', '--tag', 'b', host=d.host), out=['new', 'stopped'])
        expect(bv('node', 'start', 'new', 'node-0004', host=d.host), out=['Started node `new`', 'Started node `node-0004`'])
        expect(bv('node', 'status', 'new', 'node-0004', host=d.host), out='running\nrunning\n')
        expect(bv('node', 'show', 'new', host=d.host),
               out=['Name:            new', 'Status:          running', 'block-ms = 50', 'Jobs:', 'chain'])
        expect(bv('node', 'set', 'new', 'block-ms=75', host=d.host), out='Updated node `new`')
        expect(bv('node', 'show', 'new', host=d.host), out='block-ms = 75')
        expect(bv('node', 'set', 'new', 'colour=red', host=d.host), 1, err="no property 'colour'")
        expect(bv('node', 'set', 'new', 'block-ms', host=d.host), 2, err='not KEY=VALUE')
        expect(bv('node', 'reload', 'new', host=d.host), out='Reloaded the plugin of node `new`')
        expect(bv('node', 'check', 'new', host=d.host), out=['plugin', 'jobs-status', 'All checks passed!'])
        expect(bv('node', 'check', 'new', 'protocol-status', host=d.host), out='protocol-status  passed')
        expect(bv('node', 'tasks', 'new', host=d.host), out='No tasks found.')
        expect(bv('node', 'caps', 'new', host=d.host), out='height\ninit\n')
        expect(bv('node', 'run', 'echo', 'new', '--param', '-q --weird', host=d.host), out='-q --weird\n')
        expect(bv('node', 'run', 'echo', 'new', '--param=x', host=d.host), out='x\n')
        expect(bv('node', 'restart', '-f', 'new', host=d.host), out='Restarted node `new`')
        expect(bv('node', 'stop', 'new', '--force', host=d.host), out='Stopped node `new`')
        expect(bv('node', 'check', 'new', host=d.host), 1, out=['FAILED', 'not running', 'Some checks failed.'])
        expect(bv('node', 'rm', '-y', 'new', 'node-0001', host=d.host), out=['Deleted node `new`', '`node-0001`'])
        expect(bv('node', 'show', 'new', host=d.host), 3, err="there is no node 'new'")


def test_jobs():
    with Daemon('nodes=1') as d:
        expect(bv('job', 'ls', 'node-0001', host=d.host), out=['NAME', 'chain', 'Running'])
        expect(bv('job', 'show', 'node-0001', 'chain', host=d.host),
               out=['status:', 'Running', 'restart_count:    0', 'upgrade_blocking: false'])
        expect(bv('job', 'logs', 'node-0001', 'chain', '-n', '1000', host=d.host), out='starts at block 0')
        expect(bv('job', 'stop', 'node-0001', 'chain', host=d.host))
        expect(bv('job', 'ls', 'node-0001', host=d.host), out='Stopped')
        expect(bv('job', 'start', 'node-0001', 'chain', host=d.host))
        expect(bv('job', 'stop', 'node-0001', '--all', host=d.host))
        expect(bv('job', 'skip', 'node-0001', 'chain', host=d.host))
        expect(bv('job', 'ls', 'node-0001', host=d.host), out='Finished with exit code 0')
        expect(bv('job', 'cleanup', 'node-0001', 'chain', host=d.host))
        expect(bv('job', 'show', 'node-0001', 'other', host=d.host), 3, err="job 'other' not found")


def test_images_and_snapshots():
    with Daemon('nodes=1') as d:
        expect(bv('image', 'import', '.', '--name', 'my/image:1', host=d.host), out='Imported image `my/image:1` with ID')
        expect(bv('image', 'ls', host=d.host), out=['my/image:1', 'fake/fake-main:1.0.0', 'Size'])
        expect(bv('image', 'rm', 'my/image:1', host=d.host), out='Removed image')
        expect(bv('image', 'rm', 'fake/fake-main:1.0.0', host=d.host), 4, err='used by a node')
        expect(bv('image', 'import', '/no/such', host=d.host), 3, err='No such file')
        expect(bv('snapshot', 'ls', host=d.host), out='No snapshots found.')
        expect(bv('snapshot', 'upload', 'node-0001', host=d.host), out='Uploaded snapshot `fake-main-v1` version 1')
        expect(bv('snapshot', 'ls', 'fake-main-v1', host=d.host), out=['Key', 'fake-main-v1', 'Chunks'])
        expect(bv('snapshot', 'verify', 'fake-main-v1', host=d.host), out='Verified snapshot')
        expect(bv('snapshot', 'download', 'fake-main-v1', 'out', '--version', '1', host=d.host), out='Downloaded snapshot')
        expect(bv('snapshot', 'verify', 'fake-main-v1', '--version', '9', host=d.host), 3, err='Caused by:')


def test_host():
    with Daemon('nodes=2') as d:
        expect(bv('host', 'info', host=d.host), out=['Hostname:    fake', 'Driver:      fake'])
        expect(bv('host', 'metrics', host=d.host), out=['Nodes running   2', 'Load:'])
        expect(bv('events', host=d.host))
        expect(bv('node', 'stop', 'node-0001', host=d.host), out='Stopped')
        expect(bv('events', host=d.host), out=['node_stopped', 'node-0001'])
        expect(bv('events', '--after', '1', host=d.host))


COMMANDS_WITH_JSON = [
    ('node', 'ls'), ('node', 'create', 'fake/fake-main', '-n', 'x'), ('node', 'start', 'node-0001'),
    ('node', 'stop', 'node-0001'), ('node', 'restart', 'node-0001'), ('node', 'rm', '-y', 'node-0001'),
    ('node', 'show', 'node-0001'), ('node', 'status', 'node-0001', 'node-0002'), ('node', 'run', 'height', 'node-0001'),
    ('node', 'caps', 'node-0001'), ('node', 'shell', 'node-0001'), ('job', 'ls', 'node-0001'),
    ('job', 'show', 'node-0001', 'chain'), ('job', 'logs', 'node-0001', 'chain'), ('image', 'ls'),
    ('image', 'import', '/etc'), ('snapshot', 'ls'), ('snapshot', 'upload', 'node-0001'), ('host', 'info'),
    ('host', 'metrics'),
]


def test_json():
    for command in COMMANDS_WITH_JSON:
        for options in (('-o', 'json'), ('--output=json',)):
            document = json.loads(expect(bv(*options, *command, host=FAKE3), out='').out)
            assert isinstance(document, dict), command
    assert json.loads(bv('-ojson', 'node', 'ls', '-r', host='fake:?nodes=4').out)['nodes'][2]['name'] == 'node-0003'
    assert json.loads(bv('node', 'ls', '-o', 'json', '--tag', 'x', host=FAKE3).out) == {'nodes': []}
    result = bv('-o', 'json', 'node', 'status', 'nobody', 'node-0001', host=FAKE3)
    assert result.code == 3 and json.loads(result.out) == {'node-0001': 'running'}, result


# ---- exit statuses ----

def test_exit_statuses():
    expect(bv('node', 'show', 'nobody', host=FAKE3), 3, err=["Error: there is no node 'nobody'"])
    expect(bv('node', 'create', 'fake/fake-main', '-n', 'node-0001', host=FAKE3), 4,
           err=['Error: cannot create node\nCaused by:\n    0: a node with the name'])
    expect(bv('job', 'ls', 'node-0004', host='fake:?nodes=4'), 4, err='is not running')
    expect(bv('node', 'create', 'fake/fake-main', '-n', '..', host=FAKE3), 1, err='is not a node name')
    expect(bv('node', 'ls', host='unix:/no/such/socket'), 7, err=['cannot reach the daemon', 'is blockvisord running?'])
    expect(bv('node', 'ls', host='gopher:'), 1, err='must begin with')
    expect(bv('node', 'start', 'nobody', 'node-0001', host=FAKE3), 3, out='Started node `node-0001`', err='nobody')
    expect(bv('node', 'ls', BV_ROOT='/no/such/root'), 7, err='/no/such/root/run/blockvisor/blockvisord.sock')


def test_a_daemon_that_makes_no_sense():
    """Something else listens on the socket, or goes away in the middle of an answer."""
    import socket
    import threading
    answers = [b'', b'SSH-2.0-nothing\r\n', b'HTTP/1.1 200 OK\r\n\r\n', b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"res',
               b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n',
               b'HTTP/1.1 200 OK\r\n\r\nnot json\n', b'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n',
               b'HTTP/1.1 200 OK\r\n\r\n' + b'[' * 100000 + b'\n']
    with tempfile.TemporaryDirectory(prefix='bv-') as folder:
        path = os.path.join(folder, 's')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()

            def serve():
                for answer in answers:
                    peer, _ = listener.accept()
                    with peer:
                        peer.recv(65536)
                        peer.sendall(answer)
            thread = threading.Thread(target=serve)
            thread.start()
            for answer in answers:
                expect(bv('node', 'ls', host='unix:' + path), 7, err='Error: ')
            thread.join()


USAGE_ERRORS = [
    ((), 'Usage: bv'), (('node',), 'Usage: bv node'), (('nothing',), "no command 'nothing'"), (('node', 'x'), "'node x'"),
    (('--nothing',), "no option '--nothing'"), (('node', 'ls', '--nothing'), "no option '--nothing'"),
    (('node', 'ls', 'more'), "'more' is one argument too many"), (('node', 'show'), 'an argument is missing'),
    (('node', 'create', 'i', '--name'), '--name needs a value'), (('--host',), '--host needs a value'),
    (('-o', 'xml', 'node', 'ls'), 'must be table or json'), (('node', 'create', 'i', '--memory-mb', 'much'), 'whole number'),
    (('node', 'create', 'i', '--cpus', 'x'), '--cpus'), (('node', 'create', 'i', '-p', 'x'), 'KEY=VALUE'),
    (('node', 'create', 'i', '-p', 'a=1', '-p', 'a=2'), 'twice'), (('node', 'stop', '--force=yes', 'n'), 'takes no value'),
    (('--quiet=yes', 'node', 'ls'), 'takes no value'), (('job', 'stop', 'n'), '--all'),
    (('job', 'stop', 'n', 'j', '--all'), '--all'), (('completion', 'fish'), "'fish'"), (('-x',), "no option '-x'"),
]


def test_usage_errors():
    for args, says in USAGE_ERRORS:
        result = expect(bv(*args, host=FAKE3), 2, err=[says, 'Usage: bv'])
        assert result.out == '', result


def test_options_anywhere():
    expect(bv('-H', FAKE3, 'node', 'ls'), out='node-0001')
    expect(bv('node', '--host', FAKE3, 'ls'), out='node-0001')
    expect(bv('node', 'ls', '--host=' + FAKE3), out='node-0001')
    expect(bv('node', 'ls', '-H' + FAKE3, '-q'), out='node-0001')
    expect(bv('-qv', 'node', 'ls', host=FAKE3), out='node-0001')
    expect(bv('node', 'run', 'echo', 'node-0001', '--param', '--', host=FAKE3), out='--\n')
    expect(bv('node', 'show', '--', '-odd', host=FAKE3), 3, err="no node '-odd'")
    # What belongs to a command inside a node is not ours; the fake host's shell is echo.
    expect(bv('node', 'shell', 'node-0001', 'ls', '-o', 'json', '--help', host=FAKE3), out=' ls -o json --help\n')


# ---- parameters, questions ----

def test_param_file():
    with tempfile.NamedTemporaryFile() as f:
        f.write(b'from a file')
        f.flush()
        expect(bv('node', 'run', 'echo', 'node-0001', '--param-file', f.name, host=FAKE3), out='from a file\n')
        expect(bv('node', 'run', 'echo', 'node-0001', '--param-file', f.name, '--param', 'p', host=FAKE3), out='p\n')
        f.truncate(2 << 20)
        expect(bv('node', 'run', 'echo', 'node-0001', '--param-file', f.name, host=FAKE3), 10, err='larger')
    expect(bv('node', 'run', 'echo', 'node-0001', '--param-file', '/no/such', host=FAKE3), 3, err='/no/such')
    expect(bv('node', 'run', 'echo', 'node-0001', '--param-file', '/', host=FAKE3), 1, err='directory')


def test_questions():
    with Daemon('nodes=2') as d:
        for answer in (b'n\n', b'\n', b'', b'maybe\n'):
            expect(bv('node', 'rm', 'node-0001', stdin=answer, host=d.host), err=['node-0001', 'Are you sure? [y/N]'])
        expect(bv('node', 'status', 'node-0001', host=d.host), out='running')
        expect(bv('node', 'rm', 'node-0001', stdin=b'Y\n', host=d.host), out='Deleted node', err='Are you sure?')
        expect(bv('node', 'status', 'node-0001', host=d.host), 3, err='no node')


# ---- terminals ----

def in_terminal(*args, **env):
    """What bv prints to a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(BV, [BV, *args], environment(**env))
    text = b''
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode()


def test_colours():
    code, text = in_terminal('node', 'ls', BV_HOST=FAKE3)
    assert code == 0 and '\033[32mrunning\033[0m' in text, text
    code, text = in_terminal('node', 'ls', BV_HOST=FAKE3, NO_COLOR='1')
    assert code == 0 and '\033' not in text, text


def test_progress_in_a_terminal():
    code, text = in_terminal('image', 'import', '/etc', BV_HOST='fake:?delay_ms=500')
    assert code == 0 and 'importing image [' in text and '%' in text and 'Imported image' in text, text
    code, text = in_terminal('-q', 'image', 'import', '/etc', BV_HOST='fake:?delay_ms=500')
    assert code == 0 and '[' not in text, text


def test_escape_sequences_are_not_obeyed():
    """A name from elsewhere must not drive the terminal."""
    with Daemon() as d:
        expect(bv('image', 'import', '/etc', '--name', 'evil\033[2J:1', host=d.host), out='')
        assert '\033' not in expect(bv('image', 'ls', host=d.host), out='evil?[2J').out


# ---- pipes and interrupts ----

def start(*args, host, stdout=subprocess.PIPE):
    return subprocess.Popen([BV, *args], stdout=stdout, stderr=subprocess.PIPE, env=environment(BV_HOST=host))


def test_nobody_reads():
    process = start('node', 'ls', host='fake:?nodes=4000')
    process.stdout.read(100)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 141 and said == b'', said
    with open('/dev/full', 'wb') as full:
        process = start('node', 'ls', host=FAKE3, stdout=full)
        said = process.communicate()[1]
    assert process.returncode == 1 and b'cannot write the output' in said, said
    with open('/dev/full', 'wb') as full:
        process = start('--help', host=FAKE3, stdout=full)
        assert b'cannot write' in process.communicate()[1] and process.returncode == 1


def test_following_ends_with_its_reader():
    with Daemon('nodes=1') as d:
        process = start('job', 'logs', '-f', 'node-0001', 'chain', host=d.host)
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b''
        process.stderr.close()
        process = start('events', '-f', host=d.host)  # nothing happens, yet it notices
        process.stdout.close()
        assert process.wait(30) == 141
        process.stderr.close()


def test_following():
    with Daemon('nodes=1') as d:
        process = start('events', '-f', host=d.host)
        expect(bv('node', 'stop', 'node-0001', host=d.host), out='Stopped')
        assert b'node_stopped' in process.stdout.readline()
        expect(bv('node', 'start', 'node-0001', host=d.host), out='Started')
        assert b'node_started' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130 and not out and not err, (process.returncode, out, err)


def is_listening(pid):
    """Whether bv takes signals as it means to: they are blocked, and read from a descriptor."""
    with open('/proc/%d/status' % pid) as f:
        blocked = int(next(line for line in f if line.startswith('SigBlk:')).split()[1], 16)
    return blocked >> (signal.SIGINT - 1) & 1


def test_interrupts():
    with Daemon('delay_ms=60000') as d:
        for signum in (signal.SIGINT, signal.SIGTERM):
            process = start('image', 'import', '/etc', host=d.host)
            until(lambda: is_listening(process.pid), 'readiness')
            process.send_signal(signum)
            out, err = process.communicate(timeout=30)
            assert process.returncode == 130 and not out and not err, (process.returncode, out, err)
        # At a question too.
        process = subprocess.Popen([BV, 'node', 'rm', 'x'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=environment(BV_HOST=d.host))
        assert select.select([process.stderr], [], [], 30)[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        process.communicate()


def test_a_daemon_that_dies():
    with Daemon('delay_ms=60000') as d:
        process = start('image', 'import', '/etc', host=d.host)
        until(lambda: is_listening(process.pid), 'readiness')
        expect(bv('host', 'info', host=d.host), out='')  # a call later, the first one is under way
        d.process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode in (7, 130) and b'Error' in err, (process.returncode, out, err)


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
