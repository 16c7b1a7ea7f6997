"""--help, the man page and the completion script say the same."""
import os
import re
import subprocess
import sys

import cli
from cli import BV, DAEMON, SOURCE, bv, environment, expect

OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]*')
SHORT = re.compile(r'(?<![\w-])-[A-Za-z]\b')


def help_of(*words):
    return expect(bv(*words, '--help'), out='Usage: bv').out


def commands():
    """(group or '', name) of every command, from the table of contents."""
    text = help_of()
    body = text[text.index('Commands:'):text.index('Options')]
    found = []
    for line in body.splitlines()[1:]:
        match = re.match(r'  ([a-z]+)(?: ([a-z]+))?\s', line)
        if match:
            found.append((match[1], match[2]) if match[2] else ('', match[1]))
    assert len(found) > 20, text
    return found


def own_options(text):
    """Options of a command's help, without the global ones; long ones and letters."""
    part = text.split('Options of every command:')[0]
    part = part.split('Options:')[1] if 'Options:' in part else ''
    lines = [line for line in part.splitlines() if re.match(r'  -', line)]
    left = [re.split(r'\s{2,}', line.strip())[0] for line in lines]
    return {o for line in left for o in OPTION.findall(line) + SHORT.findall(line)}


def man(name):
    with open(os.path.join(SOURCE, 'doc/man', name), encoding='utf-8') as f:
        return f.read()


def man_entries():
    """command -> options, from the lines of bv(1) and bv-snapshot(1) that begin with its usage, and the option list below them."""
    entries = {}
    current = None
    for line in (man('bv.1.scd') + man('bv-snapshot.1.scd')).splitlines():
        match = re.match(r'\*bv ((?:[a-z]+ ?)+)\*(.*)', line)
        if match:
            words = match[1].split()
            current = (words[0], words[1]) if len(words) == 2 else ('', words[0])
            entries[current] = set(re.findall(r'\*(--?[a-zA-Z-]+)\*', match[2]))
        elif line.startswith('#'):
            current = None
        elif current and line.startswith('\t*-'):
            entries[current] |= set(re.findall(r'\*(--?[a-zA-Z-]+)\*', line))
    return entries


def test_commands_of_the_man_page():
    assert set(man_entries()) == set(commands()), set(man_entries()) ^ set(commands())


def test_options_of_the_man_page():
    entries = man_entries()
    for group, name in commands():
        text = help_of(*([group, name] if group else [name]))
        assert own_options(text) == entries[(group, name)], (group, name, own_options(text), entries[(group, name)])


def test_global_options():
    text = help_of()
    options = text[text.index('\nOptions'):]
    left = [re.split(r'\s{2,}', line.strip())[0] for line in options.splitlines() if re.match(r'  -', line)]
    wanted = {o for line in left for o in OPTION.findall(line) + SHORT.findall(line)}
    page = man('bv.1.scd')
    part = page[page.index('# OPTIONS'):page.index('# NODES')]
    found = {o for line in part.splitlines() if line.startswith('*-') for o in re.findall(r'\*(--?[a-zA-Z-]+)\*', line)}
    assert found == wanted, found ^ wanted


def test_aliases():
    """What help says of another name works, and stands in the man page."""
    page = man('bv.1.scd') + man('bv-snapshot.1.scd')
    for group, name in commands():
        words = [group, name] if group else [name]
        match = re.search(r'^Also: bv (.*)$', help_of(*words), re.M)
        if match:
            assert help_of(*match[1].split()).splitlines()[0] == help_of(*words).splitlines()[0]
            assert re.search(r'Also\s+\*%s\*' % match[1].split()[-1], page), match[1]


def test_completion_lists_the_same():
    script = expect(bv('completion', 'bash'), out='complete -F _bv bv').out
    for group, name in commands():
        words = [group, name] if group else [name]
        match = re.search(r"^\s+'%s'\) words='(.*)' ;;$" % ' '.join(words), script, re.M)
        assert match, words
        long_options = {o for o in own_options(help_of(*words)) if o.startswith('--')}
        assert set(match[1].split()) == long_options | {'--help'}, words


def test_exit_statuses_of_the_man_page():
    """Those of cli.h, and no others."""
    with open(os.path.join(SOURCE, 'cli/cli.h'), encoding='utf-8') as f:
        header = f.read()
    codes = {int(c) for c in re.findall(r'^\s+EXIT_\w+ = (\d+)', header, re.M)}
    page = man('bv.1.scd')
    table = page[page.index('# EXIT STATUS'):page.index('# ENVIRONMENT')]
    listed = {int(c) for c in re.findall(r'^\|\s+(\d+)$', table, re.M)}
    assert codes == listed, codes ^ listed


def test_layout():
    texts = [help_of()] + [help_of(*([g, n] if g else [n])) for g, n in commands()]
    texts += [help_of(group) for group in {g for g, _ in commands() if g}]
    for text in texts:
        for line in text.splitlines():
            assert len(line) <= 80 and line == line.rstrip(), line


def test_version():
    with open(os.path.join(SOURCE, 'meson.build'), encoding='utf-8') as f:
        version = re.search(r"version: '([\d.]+)'", f.read())[1]
    assert expect(bv('--version'), out='').out == 'bv %s\n' % version
    assert expect(bv('-V'), out='').out == 'bv %s\n' % version


def daemon(*args):
    return cli.Result(subprocess.run([DAEMON, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, env=environment(), timeout=30))


def test_daemon():
    text = expect(daemon('--help'), out='Usage: blockvisord').out
    wanted = set(OPTION.findall(text)) | set(SHORT.findall(text))
    page = man('blockvisord.8.scd')
    part = page[page.index('# OPTIONS'):page.index('# THE INTERFACE')]
    found = {o for line in part.splitlines() if line.startswith('*-') for o in re.findall(r'\*(--?[a-zA-Z-]+)\*', line)}
    assert found == wanted, found ^ wanted
    for line in text.splitlines():
        assert len(line) <= 80, line
    expect(daemon('--version'), out='blockvisord ')
    expect(daemon('--nothing'), 2, err='Usage: blockvisord')
    expect(daemon('more'), 2, err='Usage: blockvisord')
    expect(daemon('--socket-mode', '9'), 2, err='--socket-mode')
    expect(daemon('--log-level', 'loud'), 2, err='--log-level')
    expect(daemon('--uri', 'nothing:', '--socket', '/tmp/nothing-%d' % os.getpid()), 1, err='Error: ')


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
