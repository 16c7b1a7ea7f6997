"""bv plugin check: what it prints, and its exit codes."""
import json
import os
import sys
import tempfile

import cli
from cli import SOURCE, bv, expect

PLUGINS = os.path.join(SOURCE, 'tests/data/plugins')
GOOD = 'fn plugin_config() {#{ services: [] }}\nfn protocol_status() {#{ state: "x", health: "healthy" }}\n'


class Plugin(tempfile.TemporaryDirectory):
    """A directory with a main script."""

    def __init__(self, script, **files):
        super().__init__()
        self.put('main.rhai', script)
        for name, text in files.items():
            self.put(name, text)

    def put(self, name, text):
        with open(os.path.join(self.name, name), 'w') as f:
            f.write(text)

    def __enter__(self):
        super().__enter__()
        return self.name


def check(path, *words):
    return bv('plugin', 'check', *words, path)


def test_nothing_wrong():
    with Plugin(GOOD) as p:
        result = expect(check(p), out='')
        assert result.out == '0 errors, 0 warnings in 1 variant of %s\n' % p, result
        assert expect(check(p, '--quiet')).out == ''


def test_like_a_compiler():
    with Plugin(GOOD + 'fn height() { get_secrets("a") }\n') as p:
        lines = expect(check(p), 1, out='').out.split('\n')
        assert lines[0] == p + "/main.rhai:3:15: error: unknown function 'get_secrets'; did you mean " \
                               "'get_secret'? [unknown-function]", lines
        assert lines[1] == '1 error, 0 warnings in 1 variant of ' + p, lines


def test_warnings_and_notes():
    with Plugin(GOOD.replace('[]', '[], mine: 1') + 'fn two(a, b) { a + b }\n') as p:
        result = expect(check(p), out='')
        assert 'main.rhai:1:38: warning: ' in result.out and 'note' not in result.out, result
        expect(check(p, '--strict'), 1, out='')
        assert "main.rhai:3:1: note: function 'two'" in expect(check(p, '--notes'), out='').out


def test_json():
    result = expect(check(os.path.join(PLUGINS, 'bad/variants'), '--output', 'json'), 1, out='')
    report = json.loads(result.out)
    assert report['errors'] == 1 and report['variants'] == ['x-mainnet-full', 'x-testnet-full'], report
    finding = report['findings'][0]
    assert finding['file'] == 'main.rhai' and finding['path'].endswith('/bad/variants/main.rhai'), finding
    assert (finding['line'], finding['severity'], finding['rule']) == (8, 'error', 'run-failed'), finding
    assert finding['variants'] == ['x-testnet-full'], finding


def test_chosen_node():
    with Plugin('const A = node_params().size + get_secret("k").as_string() + node_env().extra;\n' + GOOD) as p:
        expect(check(p), 1, out="node_env() has no 'extra'")
        env = os.path.join(p, 'env.json')
        with open(env, 'w') as f:
            f.write('{"extra": "x"}')
        expect(check(p, '--param', 'size=1', '--env', env), out='')
        expect(check(os.path.join(PLUGINS, 'bad/variants'), '--variant', 'x-mainnet-full'), out='0 errors')


def test_syntax_error():
    with Plugin('fn f( {') as p:
        expect(check(p), 1, out='main.rhai:1:7: error: ')


def test_cannot_be_read():
    expect(check('/nowhere'), 3, err="there is no '/nowhere'")
    expect(check(SOURCE), 3, err='it has neither main.rhai')
    expect(check(os.path.join(PLUGINS, 'good/rollup'), '--variant', 'x'), 3, err="it has 'rolly-mainnet-full'")
    expect(bv('plugin', 'check'), 2, err='Usage: bv plugin check')


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
