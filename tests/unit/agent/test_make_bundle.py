#!/usr/bin/env python3
"""tools/make-agent-bundle: versions by content, an atomic switch, and nothing left behind. Prints TAP."""
import os
import shutil
import subprocess
import sys
import tempfile

TOOL = sys.argv[1]
count = failed = 0


def check(good, what):
    global count, failed
    count += 1
    failed += not good
    print(f'{"ok" if good else "not ok"} {count} - {what}')


def bundle(out, *more, program='/bin/true'):
    return subprocess.run([TOOL, '--out', out, '--version', '1.2', '--dynamic', program, *more], capture_output=True,
                          text=True)


def main():
    top = tempfile.mkdtemp()
    out = os.path.join(top, 'agent')
    try:
        check(bundle(out).returncode == 0, 'makes a bundle')
        first = os.readlink(os.path.join(out, 'current'))
        check(first.startswith('1.2-') and len(first) == 16, 'is named by version and content')
        check(os.path.exists(f'{out}/current/lib/ld.so') and os.path.exists(f'{out}/current/lib/libc.so.6'),
              'brings loader and libraries')
        ran = subprocess.run([f'{out}/current/lib/ld.so', '--library-path', f'{out}/current/lib',
                              f'{out}/current/bin/true'])
        check(ran.returncode == 0, 'runs through its loader')
        inode = os.stat(f'{out}/{first}').st_ino
        check(bundle(out).returncode == 0 and os.stat(f'{out}/{first}').st_ino == inode,
              'the same content makes nothing new')
        os.makedirs(f'{out}/.new-left')
        for program in ('/bin/false', '/bin/cat', '/bin/ls'):
            check(bundle(out, program=program).returncode == 0, f'switches to {program}')
        entries = sorted(os.listdir(out))
        check(len(entries) == 3 and first not in entries and '.new-left' not in entries,
              'old versions and leftovers go')
        stamp = os.path.join(top, 'stamp')
        check(bundle(out, '--stamp', stamp).returncode == 0 and open(stamp).read().strip() == first, 'writes the stamp')
        bad = bundle(out, program=__file__)
        check(bad.returncode != 0 and os.readlink(os.path.join(out, 'current')) == first,
              'a failure changes nothing')
    finally:
        shutil.rmtree(top)
    print(f'1..{count}')
    sys.exit(failed != 0)


main()
