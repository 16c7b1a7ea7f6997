"""bv plugin call and bv plugin test: what they print for people, harnesses and programs, and how they end."""
import json
import os
import sys
import tempfile

import cli
from cli import SOURCE, bv

EMBER = os.path.join(SOURCE, 'examples/plugins/ember')

MAIN = '''const TOKEN = get_secret("token").as_string();
fn plugin_config() {#{ services: [#{ name: "chain", run_sh: "chaind" }] }}
fn height() {
    parse_hex(run_jrpc(#{ host: "http://h/", method: "eth_blockNumber" }).expect(200).result)
}
fn name() { info("asked"); "n-" + global::TOKEN }
fn pair(x) { #{ a: x, b: 'c' } }
fn boom(x) {
    throw "bad " + x;
}
fn never() { 1 }
fn test_height() { assert_eq(height(), 16) }
fn test_wrong() {
    assert_eq(height(), 17, "height");
}
'''
ANSWERS = '''secrets: { token: t }
jrpc: [{ method: eth_blockNumber, result: "0x10" }]
expect:
  - { call: height, value: 16 }
  - { call: boom, arg: y, error: "bad y" }
  - { call: pair, arg: z }
'''


class Plugin:
    """A plugin in a directory of its own."""

    def __init__(self, main=MAIN, answers=ANSWERS):
        self.where = tempfile.TemporaryDirectory()
        self.dir = self.where.name
        self.put('main.rhai', main)
        if answers:
            self.put('plugin_test.yaml', answers)

    def put(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(text)
        return self.path(name)

    def path(self, name):
        return os.path.join(self.dir, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.where.cleanup()


def call(plugin, *args):
    return bv('plugin', 'call', plugin.dir, *args)


def test(plugin, *args):
    return bv('plugin', 'test', plugin.dir, *args)


def expect(result, code=0, out='', err=''):
    """As cli.expect(), but what is not asked for may be anything."""
    return cli.expect(result, code, out, err)


# ---- call ----

def test_values():
    with Plugin() as p:
        assert expect(call(p, 'height')).out == '16\n'
        assert expect(call(p, 'pair', 'v')).out == '#{"a": "v", "b": \'c\'}\n'
        assert expect(call(p, 'pair', '--typed')).out == 'map: #{"a": "", "b": \'c\'}\n'
        assert expect(call(p, 'height', '--json')).out == '16\n'
        assert json.loads(expect(call(p, 'height', '-o', 'json')).out)['value'] == 16
        result = expect(call(p, 'name'))
        assert result.out == 'n-t\n' and result.err == 'info: asked\n', result
        assert expect(call(p, 'name', '--quiet')).err == ''
        assert expect(call(p, 'name', '-q', '--secrets', p.put('s.json', '{"token": "S"}'))).out == 'n-S\n'
        assert expect(bv('plugin', 'call', p.path('main.rhai'), 'height')).out == '16\n'


def test_failures():
    with Plugin() as p:
        result = expect(call(p, 'boom', 'luck'), 1, out='')
        assert result.err == 'Runtime error: bad luck (line 9, position 5)\n', result
        expect(call(p, 'height', '--answers', ''), 1, err="Rhai function 'height' returned error")
        expect(call(p, 'height', '--answers', p.put('a.yaml', 'secrets: {"*": x}')), 1,
               err="no answer is scripted for run_jrpc method 'eth_blockNumber' host 'http://h/'")
        expect(call(p, 'nothing'), 3, err="no matching method 'nothing' found")
        expect(call(p, 'height', '--answers', p.put('a.yaml', 'jrpc: [{metod: x}]')), 8,
               err="jrpc[0].metod: there is no such key; did you mean 'method'?")
        expect(call(p, 'height', '--variant', 'x', '--answers', p.path('none')), 3, err='none')
        p.put('main.rhai', 'fn (')
        expect(call(p, 'height'), 8, err='main.rhai:1:4: Rhai syntax error')


def test_journal():
    with Plugin() as p:
        lines = expect(call(p, 'init', '--journal')).err.split('\n')
        assert lines[0] == 'get_secret token', lines
        assert 'stop_all_jobs' in lines and 'start_job chain' in lines, lines
        document = json.loads(expect(call(p, 'pair', 'v', '--output', 'json')).out)
        assert document['type'] == 'map' and document['value'] == {'a': 'v', 'b': 'c'}, document
        assert document['requests'] == [{'call': 'get_secret', 'key': 'token'}] and document['log'] == [], document
        document = json.loads(expect(call(p, 'boom', 'x', '-o', 'json'), 1).out)
        assert document['error']['line'] == 9 and 'bad x' in document['error']['message'], document


# ---- test ----

def test_for_people():
    with Plugin() as p:
        result = expect(test(p), 1, err='')
        assert 'ok      main.rhai: test_height  ' in result.out, result
        assert 'FAILED  main.rhai: test_wrong  ' in result.out, result
        assert '        at main.rhai:14:5\n' in result.out, result
        assert 'assertion failed: height: 16 is not 17' in result.out, result
        assert 'there is no golden result yet' in result.out, result
        assert '3 passed, 2 failed' in result.out, result
        assert result.out.split('\n')[-2].split() == ['main.rhai', '9', '6', '66.7%', '2,6,11'], result
        quiet = expect(test(p, '-q'), 1).out
        assert 'test_height' not in quiet and 'test_wrong' in quiet, quiet


def test_for_harnesses():
    with Plugin() as p:
        lines = expect(test(p, '--tap'), 1).out.strip().split('\n')
        assert lines[0] == 'ok 1 - main.rhai: test_height' and lines[-1] == '1..5', lines
        assert 'not ok 2 - main.rhai: test_wrong' in lines and '# at main.rhai:14:5' in lines, lines


def test_for_programs():
    with Plugin() as p:
        report = json.loads(expect(test(p, '-o', 'json'), 1).out)
        assert (report['passed'], report['failed']) == (3, 2), report
        wrong = report['tests'][1]
        assert (wrong['name'], wrong['ok'], wrong['line']) == ('test_wrong', False, 14), wrong
        assert report['coverage']['files'][0]['missed'] == [2, 6, 11], report


def test_golden_results():
    with Plugin() as p:
        assert "Kept golden results in '" in expect(test(p, '-f', 'pair*', '--update')).out
        expect(test(p, '-f', 'pair*'))
        p.put('main.rhai', MAIN.replace("'c'", "'d'"))
        result = expect(test(p, '-f', 'pair*'), 1)
        assert '-     "b": "c"\n' in result.out and '+     "b": "d"\n' in result.out, result


def test_image_directory():
    with Plugin('', None) as p:
        os.makedirs(p.path('rootfs/var/lib/babel/plugin'))
        os.makedirs(p.path('rootfs/etc'))
        p.put('rootfs/var/lib/babel/plugin/main.rhai',
              'fn f() { render_template("/etc/a.template", "/etc/a", #{x: 1}); file_read("/etc/a").as_string() }')
        p.put('rootfs/etc/a.template', 'x = {{ x }}')
        os.remove(p.path('main.rhai'))
        with open(os.path.join(EMBER, 'babel.yaml')) as f:
            p.put('babel.yaml', f.read())
        p.put('plugin_test.yaml', 'expect: [{call: f, value: "x = 1"}, {call: f, name: golden}]')
        assert expect(call(p, 'f')).out == 'x = 1\n'
        expect(test(p, '--update'), out='2 passed')
        assert os.path.exists(p.path('plugin_test.golden.json'))
        expect(test(p), out='2 passed')


def test_lines():
    with Plugin() as p:
        info = p.path('lcov.info')
        expect(test(p, '-f', 'test_height', '--lcov', info, '--coverage-min', '20'))
        with open(info) as f:
            text = f.read()
        assert text.startswith('TN:\nSF:' + p.path('main.rhai') + '\nDA:'), text
        assert 'DA:4,1\n' in text and 'DA:11,0\n' in text and text.endswith('LF:9\nLH:3\nend_of_record\n'), text
        expect(test(p, '-f', 'test_height', '--coverage-min', '90'), 1, err='fewer than the 90% wanted')


def test_broken_files():
    with Plugin() as p:
        p.put('some_test.rhai', 'fn test_a() {\n  let x = ;\n}')
        expect(test(p), 8, err='some_test.rhai:2:11: Rhai syntax error')
    with Plugin(answers='expect: [{}]') as p:
        expect(test(p), 8, err='expect[0].call: it is missing')
    expect(bv('plugin', 'test', '/nowhere'), 3, err='/nowhere')


def test_hidden_requests():
    with Plugin('fn test_a() { try { run_sh("x") } catch { } }') as p:
        result = expect(test(p, '-f', 'test_a'))
        assert "        unmatched: no answer is scripted for run_sh body 'x'; add a rule to 'sh'" in result.out, result


def test_nothing_to_do():
    with Plugin('fn height() { 1 }', None) as p:
        result = expect(test(p))
        assert result.out.startswith('There are no tests'), result


def test_example():
    result = expect(bv('plugin', 'test', EMBER, '--coverage-min', '100'), err='')
    assert ' 0 failed' in result.out, result
    result = expect(bv('plugin', 'test', EMBER, '--variant', 'emberd-testnet-validator', '-f', 'test_*'))
    assert '7 passed, 0 failed' in result.out, result


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
