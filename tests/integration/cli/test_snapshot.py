"""bv snapshot on stores that the command line names: no daemon, an ordinary user, and nothing is lost by a mistake."""
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import cli
from cli import BV, bv, environment, expect, until

NOWHERE = 'unix:/no/such/socket'  # a daemon would be noticed


class Place:
    """A directory with some data; `with Place() as p: p.bv('snapshot', ...)` runs there."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='bv-')

    def __enter__(self):
        self.write('data/a.txt', b'alpha\n' * 1000)
        self.write('data/deep/er/b.bin', bytes(range(256)) * 4096)
        self.write('data/empty', b'')
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'wb') as f:
            f.write(content)

    def read(self, name):
        with open(self.path(name), 'rb') as f:
            return f.read()

    def start(self, *args, **more):
        return subprocess.Popen([BV, 'snapshot', *args], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=environment(BV_HOST=NOWHERE), **more)

    def bv(self, *args, **more):
        process = self.start(*args, **more)
        out, err = process.communicate(timeout=cli.PATIENCE_S)
        return cli.Result(subprocess.CompletedProcess(args, process.returncode, out, err))

    def upload(self, *more):
        return expect(self.bv('upload', 'data', './store', '-o', 'json', *more), out='')

    def same(self, other, to='data'):
        """Whether two trees hold the same files with the same bytes."""
        def look(c):
            return not (c.left_only or c.right_only or c.funny_files or c.common_funny) and \
                not filecmp.cmpfiles(c.left, c.right, c.common_files, shallow=False)[1] and \
                all(look(s) for s in c.subdirs.values())
        return look(filecmp.dircmp(self.path(to), self.path(other)))


# ---- every command, as a table and as JSON ----

def test_there_and_back():
    with Place() as p:
        expect(p.bv('upload', 'data', './store'), out=['Uploaded snapshot `data` version 1: ', ' moved in '])
        expect(p.bv('download', './store', 'out'), out='Downloaded snapshot `data` version 1: ')
        assert p.same('out')
        expect(p.bv('verify', './store'), out='Verified snapshot `data` version 1')
        expect(p.bv('verify', './store', 'out'), out='Verified snapshot `data` version 1')


def test_all_forms_of_a_store():
    with Place() as p:
        here = p.path('store')
        p.upload()
        for store in (here, './store', 'dir:' + here, 'dir:store', 'file://' + here, './store#data', here + '#data'):
            expect(p.bv('ls', store), out='data')
        os.mkdir(p.path('a#b'))
        expect(p.bv('upload', 'data', './a#b/store'), out='version 1')
        expect(p.bv('ls', './a#b/store'), out='data')


def test_list():
    with Place() as p:
        p.upload()
        p.upload()
        p.upload('--key', 'other')
        rows = expect(p.bv('ls', './store'), out=['Key', 'Versions']).out.splitlines()[2:]
        assert [(r.split()[0], r.split()[1], r.split()[-1]) for r in rows] == [('data', '2', '2'), ('other', '1', '1')], rows
        for more in (('--versions',), ('--key', 'data')):
            rows = expect(p.bv('ls', './store', *more), out=['Key', 'Created']).out.splitlines()[2:]
            assert [r.split()[1] for r in rows][:2] == ['1', '2'], rows
        listed = json.loads(expect(p.bv('ls', './store', '-o', 'json'), out='').out)['snapshots']
        assert [(s['key'], s['version']) for s in listed] == [('data', 1), ('data', 2), ('other', 1)], listed
        os.mkdir(p.path('nothing'))
        expect(p.bv('ls', './nothing'), out='No snapshots found.')


def test_json():
    with Place() as p:
        up = json.loads(p.upload().out)
        assert up['key'] == 'data' and up['version'] == 1 and up['files'] == 3 and up['ok'] is True, up
        for words in (('download', './store', 'out'), ('verify', './store'), ('verify', './store', 'out')):
            document = json.loads(expect(p.bv(*words, '-o', 'json'), out='').out)
            assert document['version'] == 1 and document['total_bytes'] == up['total_bytes'], document


def events(result):
    return [json.loads(line) for line in result.err.splitlines()]


def test_progress_as_ndjson():
    with Place() as p:
        for words in (('upload', 'data', './store'), ('download', './store', 'out'), ('verify', './store')):
            result = p.bv(*words, '--progress', 'json', '-o', 'json')
            assert result.code == 0 and json.loads(result.out)['version'] == 1, result
            seen = events(result)
            assert [e['event'] for e in seen[:-1]] == ['progress'] * (len(seen) - 1) and len(seen) > 1, seen
            last = seen[-1]
            assert last['event'] == 'done' and last['version'] == 1 and last['bytes_done'] == last['bytes_total'], last
        failed = events(p.bv('verify', './store', '--version', '9', '--progress', 'json'))[-1]
        assert failed['event'] == 'failed' and failed['code'] == 'not_found' and failed['exit_status'] == 3, failed
        assert failed['message'] and failed['causes'], failed


def test_quiet_without_a_terminal():
    with Place() as p:
        expect(p.bv('upload', 'data', './store'), out='')
        expect(p.bv('upload', 'data', './store', '--progress', 'none'), out='')
        expect(p.bv('upload', 'data', './store', '--progress', 'loud'), 2, err='--progress')


# ---- keys ----

def test_keys():
    with Place() as p:
        expect(p.bv('upload', 'data', './store#one'), out='`one`')
        expect(p.bv('download', './store', 'out'), out='`one`')
        expect(p.bv('upload', 'data', './store', '--key', 'two'), out='`two`')
        expect(p.bv('download', './store', 'out2'), 2, err=['several keys', 'one, two'])
        assert not os.path.exists(p.path('out2'))
        expect(p.bv('download', './store', 'out2', '-k', 'two'), out='`two`')
        expect(p.bv('verify', './store#three'), 3, err='three')
        expect(p.bv('ls', './store#'), 2, err='without a key')
        p.write('odd.name/x', b'x')
        expect(p.bv('upload', 'odd.name', './store'), 1, err=['odd.name', 'letters, digits'])


# ---- mistakes lose nothing ----

def test_mistakes():
    with Place() as p:
        p.upload()
        before = sorted(os.listdir(p.dir))
        expect(p.bv('upload', 'nothing', './store'), 3, err='no directory nothing')
        expect(p.bv('upload', 'data/a.txt', './store'), 3, err='no directory')
        expect(p.bv('upload', 'data', 'store'), 2, err='not a store')
        expect(p.bv('upload', 'data', 's4://bucket'), 2, err='not a store')
        expect(p.bv('download', './stoer', 'out'), 3, err='no store')
        expect(p.bv('download', 's4://bucket', 'out'), 2, err='neither')
        expect(p.bv('verify', './stoer'), 3, err='no store')
        expect(p.bv('verify', './store', 'nothing'), 3, err='no directory')
        expect(p.bv('ls', './stoer'), 3, err='no store')
        expect(p.bv('download', './store', 'out', '--limit-rate', 'fast'), 2, err='--limit-rate')
        expect(p.bv('download', './store', 'out', '--workers', '1000'), 2, err='--workers')
        expect(p.bv('download', './store', 'out', '--profile', 'x'), 2, err='s3://')
        expect(p.bv('download', 'data', 'out', '--key', 'x'), 2, err='--key needs a store')
        assert sorted(os.listdir(p.dir)) == before, os.listdir(p.dir)


def test_other_files_are_left_alone():
    with Place() as p:
        p.upload()
        p.write('out/mine.txt', b'mine')
        p.write('out/a.txt', b'old')
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        assert p.read('out/mine.txt') == b'mine' and p.read('out/a.txt') == p.read('data/a.txt')


def test_versions():
    with Place() as p:
        p.upload()
        p.write('data/a.txt', b'second')
        p.upload()
        expect(p.bv('download', './store', 'one', '--version', '1'), out='version 1')
        assert p.read('one/a.txt') == b'alpha\n' * 1000
        expect(p.bv('download', './store', 'two'), out='version 2')
        assert p.same('two')
        expect(p.bv('download', './store', 'nine', '--version', '9'), 3, err='9')


def test_damage_is_found():
    with Place() as p:
        p.write('data/random', os.urandom(100000))
        p.upload()
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        p.write('out/deep/er/b.bin', b'x' * (256 * 4096))
        expect(p.bv('verify', './store', 'out'), 8, out='differs: deep/er/b.bin (', err='b.bin')
        for folder, _, names in os.walk(p.path('store')):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.getsize(path) > 1000 and not name.endswith('.json'):
                    with open(path, 'r+b') as f:
                        f.seek(500)
                        byte = f.read(1)
                        f.seek(500)
                        f.write(bytes([byte[0] ^ 1]))
        expect(p.bv('verify', './store'), 8, out='differs: random', err='Error: ')
        expect(p.bv('download', './store', 'out2'), 8, err='Error: ')


# ---- what snapshots can do ----

def test_only_changes_move():
    with Place() as p:
        p.write('data/random', os.urandom(3 << 20))
        first = json.loads(p.upload().out)
        assert first['format'] == 'snapshot' and first['stored_bytes'] > 3 << 20, first
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        p.write('data/a.txt', b'changed')
        second = json.loads(p.upload().out)
        assert second['stored_bytes'] < 100000 and second['reused_bytes'] > 3 << 20, second
        down = json.loads(expect(p.bv('download', './store', 'out', '-o', 'json'), out='').out)
        assert down['stored_bytes'] < 100000 and 3 << 20 < down['reused_bytes'] <= down['total_bytes'], down
        assert p.same('out')


def test_all_of_a_directory():
    with Place() as p:
        os.symlink('a.txt', p.path('data/link'))
        os.link(p.path('data/a.txt'), p.path('data/hard'))
        os.mkdir(p.path('data/nothing'), 0o750)
        os.chmod(p.path('data/a.txt'), 0o640)
        with open(p.path('data/sparse'), 'wb') as f:
            f.truncate(50 << 20)
        p.upload()
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        assert os.readlink(p.path('out/link')) == 'a.txt'
        assert os.stat(p.path('out/hard')).st_ino == os.stat(p.path('out/a.txt')).st_ino
        assert os.stat(p.path('out/nothing')).st_mode & 0o7777 == 0o750
        assert os.stat(p.path('out/a.txt')).st_mode & 0o7777 == 0o640
        assert os.stat(p.path('out/sparse')).st_size == 50 << 20 and os.stat(p.path('out/sparse')).st_blocks < 1000


def test_codecs():
    with Place() as p:
        for codec in ('zstd', 'lz4', 'none'):
            p.upload('--codec', codec, '--key', codec, '--level', '5')
            expect(p.bv('download', './store#' + codec, codec), out='Downloaded')
            assert p.same(codec)
        expect(p.bv('upload', 'data', './store', '--codec', 'rar'), 2, err="no 'rar'")
        expect(p.bv('upload', 'data', './store', '--level', '99'), 2, err='--level')


def test_parts_are_restored():
    with Place() as p:
        p.upload()
        expect(p.bv('restore', './store', 'part', '--include', 'deep/**'), out='Restored')
        assert p.read('part/deep/er/b.bin') == p.read('data/deep/er/b.bin') and os.listdir(p.path('part')) == ['deep']
        expect(p.bv('restore', './store', 'part'), 2, err='--include')


def test_deleting_and_protecting():
    with Place() as p:
        p.write('data/keystore/key', b'secret')
        p.write('data/mine/key', b'secret too')
        p.upload('--protect', 'mine/**', '--exclude', 'empty')
        p.write('out/keystore/key', b'my own')
        p.write('out/other', b'other')
        expect(p.bv('download', './store', 'out', '--delete'), out='Downloaded')
        assert p.read('out/keystore/key') == b'my own'
        assert sorted(os.listdir(p.path('out'))) == ['a.txt', 'deep', 'keystore', 'mine'], os.listdir(p.path('out'))
        p.upload('--protect', '!**/keystore/**')
        expect(p.bv('download', './store', 'all'), out='Downloaded')
        assert os.listdir(p.path('all/keystore')) == [], 'keys are not written unless one says so'
        expect(p.bv('download', './store', 'all', '--protect', '!**/keystore/**'), out='Downloaded')
        assert p.same('all')
        expect(p.bv('upload', 'data', './store', '--protect', '!nothing'), 1, err='takes out nothing')


def key_pair(p, name):
    for words in (('genpkey', '-algorithm', 'ed25519', '-out', name + '.key'),
                  ('pkey', '-in', name + '.key', '-pubout', '-out', name + '.pub')):
        subprocess.run(['openssl', *words], cwd=p.dir, check=True, capture_output=True)


def test_looking_into_snapshots():
    with Place() as p:
        os.symlink('a.txt', p.path('data/link'))
        os.link(p.path('data/a.txt'), p.path('data/zhard'))
        p.upload()
        listed = expect(p.bv('files', './store'), out=['a.txt', 'deep/er/b.bin', 'link -> a.txt', 'zhard -> a.txt']).out
        assert len(listed.splitlines()) == 8, listed
        files = json.loads(expect(p.bv('files', './store', '-o', 'json'), out='').out)['files']
        assert [(f['path'], f['kind']) for f in files if f['kind'] != 'directory'] == [
            ('a.txt', 'file'), ('deep/er/b.bin', 'file'), ('empty', 'file'), ('link', 'symlink'), ('zhard', 'hardlink')], files
        assert files[1]['bytes'] == 6000 and files[1]['mode'] == os.stat(p.path('data/a.txt')).st_mode & 0o7777
        process = p.start('cat', './store', 'deep/er/b.bin')
        assert process.communicate(timeout=cli.PATIENCE_S)[0] == p.read('data/deep/er/b.bin') and process.returncode == 0
        expect(p.bv('cat', './store', 'zhard'), out='alpha')
        expect(p.bv('cat', './store', 'nothing'), 3, err="no 'nothing'")
        expect(p.bv('cat', './store', 'deep'), 1, err='Error: ')
        expect(p.bv('files', './store', '--version', '7'), 3, err='7')
        expect(p.bv('files', './store', '-o', 'json', '--version', '7'), 3, out='{"files": []}', err='7')
        p.upload('--format', 'archive', '--key', 'old')
        expect(p.bv('files', './store', '--key', 'old'), 3, err='Error: ')


def test_differences():
    with Place() as p:
        p.upload()
        p.write('data/a.txt', b'other')
        p.write('data/new', b'new')
        os.remove(p.path('data/empty'))
        p.upload()
        expect(p.bv('diff', './store', '1'), out=['changed', 'a.txt', 'added          3 B  new', 'removed        0 B  empty'],
               err=' changes, ')
        diff = json.loads(expect(p.bv('diff', './store', '1', '2', '-o', 'json'), out='').out)
        found = {d['path']: d['change'] for d in diff['differences'] if d['kind'] == 'file'}
        assert found == {'a.txt': 'changed', 'new': 'added', 'empty': 'removed'} and diff['changes'] >= 3, diff
        back = json.loads(expect(p.bv('diff', './store', '2', '1', '-o', 'json'), out='').out)
        assert {d['path']: d['change'] for d in back['differences'] if d['kind'] == 'file'} == {
            'a.txt': 'changed', 'new': 'removed', 'empty': 'added'}, back
        expect(p.bv('diff', './store', '1', '9'), 3, err='9')
        expect(p.bv('diff', './store', 'one'), 2, err="'one' is not a version")


def test_an_upload_is_interrupted_and_resumed():
    with Place() as p:
        p.write('data/big', os.urandom(64 << 20))
        process = p.start('upload', 'data', './store', '--progress', 'json', '--workers', '1')
        line = b''
        while b'"phase":"transfer"' not in line or b'"stored_done":0,' in line:
            line = process.stderr.readline()
            if not line or b'"event":"done"' in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=cli.PATIENCE_S)
        assert process.returncode in (0, 130), process.returncode  # it may have been faster
        if process.returncode == 130:
            expect(p.bv('ls', './store'), out='No snapshots found.')
            up = json.loads(p.upload().out)
            assert up['stored_bytes'] < 64 << 20, up
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        assert p.same('out')


def test_prune():
    with Place() as p:
        for i in range(4):
            p.write('data/random', os.urandom(200000))
            p.upload()
        expect(p.bv('prune', './store', '--keep', '2', '--dry-run'), out='Would remove 2 of 4 versions (1, 2)',
               err='younger than --grace')
        expect(p.bv('ls', './store', '--versions'), out='data        1')
        report = json.loads(expect(p.bv('prune', './store', '--keep', '1', '--keep-version', '2', '--grace', '0', '-o', 'json'),
                                   out='').out)
        assert report['removed'] == [1, 3] and report['bytes_removed'] > 400000, report
        for version in ('2', '4'):
            expect(p.bv('verify', './store', '--version', version), out='Verified')
        expect(p.bv('verify', './store', '--version', '3'), 3, err='3')
        expect(p.bv('prune', './store'), 2, err='--keep')
        expect(p.bv('prune', './store', '--keep', '1', '--grace', 'soon'), 2, err='--grace')
        expect(p.bv('prune', './store', '--keep', '1', '--keep-version', 'x'), 2, err='--keep-version')


def test_the_store_of_a_host():
    with cli.Daemon('nodes=1') as d:
        for _ in range(3):
            expect(bv('snapshot', 'upload', 'node-0001', host=d.host), out='Uploaded')
        expect(bv('snapshot', 'ls', host=d.host), out='Versions')
        expect(bv('snapshot', 'diff', 'fake-main-v1', '1', '3', host=d.host), out='', err=' changes, ')
        expect(bv('snapshot', 'prune', 'fake-main-v1', '--keep', '1', '-n', host=d.host), out='Would remove 2 of 3 versions (1, 2)')
        expect(bv('snapshot', 'prune', 'fake-main-v1', '--keep', '1', '--keep-version', '1', host=d.host),
               out='Removed 1 of 3 versions (2)')
        expect(bv('snapshot', 'diff', 'fake-main-v1', '2', host=d.host), 3, err='no such versions')
        document = json.loads(expect(bv('snapshot', 'diff', 'fake-main-v1', '1', '-o', 'json', host=d.host), out='').out)
        assert document['old_version'] == 1 and isinstance(document['differences'], list), document
        expect(bv('snapshot', 'verify', 'fake-main-v1', '--progress', 'json', host=d.host), out='Verified', err='')


def test_signatures():
    with Place() as p:
        key_pair(p, 'ours')
        key_pair(p, 'theirs')
        p.upload()
        expect(p.bv('download', './store', 'out', '--verify-key', 'ours.pub'), 5, err='Error: ')
        assert not os.path.exists(p.path('out/a.txt'))
        p.upload('--sign', 'ours.key')
        expect(p.bv('download', './store', 'out', '--verify-key', 'theirs.pub'), 5, err='Error: ')
        expect(p.bv('download', './store', 'out', '--verify-key', 'ours.pub'), out='version 2')
        expect(p.bv('verify', './store', '--verify-key', 'ours.pub'), out='Verified')
        expect(p.bv('verify', './store', '--version', '1', '--verify-key', 'ours.pub'), 5, err='Error: ')
        expect(p.bv('upload', 'data', './store', '--sign', 'no.key'), 3, err='no.key')


def test_gate():
    with Place() as p:
        expect(p.bv('upload', 'data', './store', '--gate', 'echo it is broken >&2; exit 3'), 4, err='it is broken')
        expect(p.bv('ls', './store'), out='No snapshots found.')
        expect(p.bv('upload', 'data', './store', '--gate', 'test -f "$1/a.txt" && test "$BV_SNAPSHOT_KEY" = data'),
               out='version 1')


def test_repair():
    with Place() as p:
        p.write('data/random', os.urandom(3 << 20))
        p.upload()
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        with open(p.path('out/random'), 'r+b') as f:
            f.write(b'damage')
        os.utime(p.path('out/random'), (1, 1))
        expect(p.bv('verify', './store', 'out'), 8, out='differs: random', err='random')
        seen = events(p.bv('verify', './store', 'out', '--progress', 'json'))
        assert [e['path'] for e in seen if e['event'] == 'differs'] == ['random'] and seen[-1]['code'] == 'checksum', seen
        mended = json.loads(expect(p.bv('verify', './store', 'out', '--repair', '-o', 'json'), out='').out)
        assert mended['reused_bytes'] > 0, mended
        expect(p.bv('verify', './store', 'out'), out='Verified')
        assert p.same('out')
        expect(p.bv('verify', './store', '--repair'), 2, err='--repair needs a directory')


def test_offline():
    with Place() as p:
        p.upload()
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        expect(p.bv('download', './store', 'elsewhere', '--state-dir', 'state'), out='Downloaded')
        shutil.rmtree(p.path('store'))
        expect(p.bv('verify', './out'), out='Verified snapshot `data` version 1')
        expect(p.bv('verify', './out/', '-o', 'json'), out='"version": 1')
        expect(p.bv('verify', './elsewhere', '--state-dir', 'state'), out='Verified')
        p.write('out/a.txt', b'x' * 6000)
        expect(p.bv('verify', './out'), 8, out='differs: a.txt', err='a.txt')
        expect(p.bv('verify', './out', '--repair'), 2, err='--repair needs a store')


def test_mirrors_and_seeds():
    with Place() as p:
        p.write('data/random', os.urandom(3 << 20))
        p.upload()
        shutil.copytree(p.path('store'), p.path('copy'))
        expect(p.bv('download', './store', 'one', '--mirror', './copy'), out='Downloaded')
        down = json.loads(expect(p.bv('download', './store', 'two', '--seed', 'one', '-o', 'json'), out='').out)
        assert down['stored_bytes'] < 100000 and p.same('two'), down
        expect(p.bv('download', './store', 'three', '--mirror', 'nothing'), 2, err='not a store')


def test_both_formats_under_one_key():
    with Place() as p:
        p.upload()
        up = json.loads(p.upload('--format', 'archive').out)
        assert up['format'] == 'archive' and up['version'] == 2, up
        p.upload()
        for version, name in ((1, 'snapshot'), (2, 'archive'), (3, 'snapshot'), (0, 'snapshot')):
            out = 'out%d' % version
            down = json.loads(expect(p.bv('download', './store', out, '--version', str(version), '-o', 'json'), out='').out)
            assert down['format'] == name and p.same(out), down
            down = json.loads(expect(p.bv('verify', './store', '--version', str(version), '-o', 'json'), out='').out)
            assert down['format'] == name, down


def test_archives_refuse_what_they_cannot():
    with Place() as p:
        for more in (('--sign', 'x'), ('--gate', 'true'), ('--protect', 'x'), ('--xattrs',), ('--codec', 'lz4')):
            expect(p.bv('upload', 'data', './store', '--format', 'archive', *more), 9, err='needs a snapshot')
        p.upload('--format', 'archive')
        for more in (('--verify-key', 'x'), ('--delete',), ('--seed', 'x'), ('--protect', 'x'), ('--recheck',)):
            expect(p.bv('download', './store', 'out', *more), 9, err='needs a snapshot')
        expect(p.bv('restore', './store', 'out', '-i', 'x'), 9, err='needs a snapshot')
        assert not os.path.exists(p.path('out/a.txt'))


def test_archives():
    with Place() as p:
        p.upload('--format', 'archive')
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        assert p.same('out')
        expect(p.bv('verify', './store', 'out'), out='Verified')


def test_denied():
    if os.geteuid() == 0:
        return  # nothing is
    with Place() as p:
        os.mkdir(p.path('store'), 0o500)
        expect(p.bv('upload', 'data', './store'), 5, err='Permission denied')


def test_ordinary_user():
    """Everything again as nobody, when we are root."""
    if os.geteuid() != 0:
        return
    with Place() as p:
        for folder, _, _ in os.walk(p.dir):
            os.chown(folder, 65534, 65534)
        more = {'user': 65534, 'group': 65534, 'extra_groups': []}
        expect(p.bv('upload', 'data', './store', **more), out='Uploaded')
        expect(p.bv('download', './store', 'out', **more), out='Downloaded')
        assert p.same('out')
        expect(p.bv('verify', './store', 'out', **more), out='Verified')
        os.mkdir(p.path('locked'), 0o700)
        expect(p.bv('upload', 'data', './locked', **more), 5, err='Permission denied')


def test_interrupted_and_resumed():
    with Place() as p:
        p.write('data/big', os.urandom(64 << 20))
        p.upload()
        process = p.start('download', './store', 'out', '--workers', '1', '--progress', 'json')
        line = b''
        while b'"phase":"transfer"' not in line:
            line = process.stderr.readline()
            assert line, process.wait()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=cli.PATIENCE_S)
        last = json.loads(err.splitlines()[-1])
        if process.returncode:  # it may have been faster
            assert process.returncode == 130 and last['event'] == 'failed' and last['code'] == 'cancelled', err
        expect(p.bv('download', './store', 'out'), out='Downloaded')
        assert p.same('out')


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
