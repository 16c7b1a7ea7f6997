"""The completion script, in a bash."""
import os
import shutil
import subprocess
import sys
import tempfile

import cli
from cli import BV, Daemon, bv, environment


def complete(line, host):
    """What bash offers at the end of a line."""
    words = line.split(' ')
    script = 'source <(bv completion bash); COMP_WORDS=(%s); COMP_CWORD=%d; _bv; printf "%%s\\n" "${COMPREPLY[@]}"' % (
        ' '.join("'%s'" % w for w in words), len(words) - 1)
    path = os.path.dirname(BV) + os.pathsep + os.environ['PATH']
    done = subprocess.run(['bash', '-c', script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env=environment(BV_HOST=host, PATH=path))
    assert done.returncode == 0 and done.stderr == b'', done
    return done.stdout.decode().split()


CASES = [
    ('bv ', ['node', 'job', 'image', 'plugin', 'snapshot', 'host', 'events', 'completion']),
    ('bv n', ['node']),
    ('bv node st', ['start', 'stop', 'status']),
    ('bv job l', ['ls', 'logs']),
    ('bv node stop ', ['node-0001', 'node-0002']),
    ('bv -H unix node stop ', ['node-0001', 'node-0002']),
    ('bv node stop node-0002', ['node-0002']),
    ('bv node stop --f', ['--force']),
    ('bv job logs ', ['node-0001', 'node-0002']),
    ('bv job logs node-0001 ', ['chain']),
    ('bv node create ', ['fake/fake-main:1.0.0']),
    ('bv image rm fake', ['fake/fake-main:1.0.0']),
    ('bv snapshot upload node-0001', ['node-0001']),
    ('bv node ls --r', ['--running']),
    ('bv --ver', ['--verbose', '--version']),
    ('bv host ', ['info', 'metrics', 'limits']),
    ('bv host info ', []),
    ('bv completion ', []),
]


def test_words():
    with Daemon('nodes=2') as d:
        for line, wanted in CASES:
            offered = complete(line, d.host)
            assert offered == wanted, (line, offered)


def test_no_daemon():
    """Nothing is offered, and nothing is said."""
    assert complete('bv node stop ', 'unix:/no/such') == []


def test_files():
    with tempfile.TemporaryDirectory() as folder:
        open(os.path.join(folder, 'image.tar'), 'w').close()
        assert complete('bv image import %s/im' % folder, 'fake:') == [folder + '/image.tar']


def test_shellcheck():
    if not shutil.which('shellcheck'):
        print('# there is no shellcheck')
        return
    script = bv('completion', 'bash').out
    done = subprocess.run(['shellcheck', '-s', 'bash', '-'], input=script.encode(), stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout.decode()


if __name__ == '__main__':
    if not shutil.which('bash'):
        print('1..0 # SKIP there is no bash')
        sys.exit(0)
    sys.exit(cli.run(sys.modules[__name__]))
