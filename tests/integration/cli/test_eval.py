"""bv plugin eval: the language's own cases through the binary, and what the command adds to them."""
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

import cli
from cli import BV, SOURCE, bv, environment, expect

CASES = os.path.join(SOURCE, 'tests/script')
STEP = int(os.environ.get('CASE_STEP', '1'))  # see meson.build


# ---- the cases of tests/script (see its README) ----

def read_cases(path):
    """[(script, accepted results)], where the last result counts alone when it is marked [ours]."""
    cases = []
    with open(path, encoding='utf-8') as f:
        for line in f.read().split('\n'):
            if line.startswith('    => '):
                result = line[7:]
                ours = result.startswith('[ours] ')
                result = re.sub(r'^\[(ours|1\.26)\] ', '', result)
                cases[-1][1][:] = [result] if ours else cases[-1][1] + [result]
            elif line and not line.startswith('# '):
                cases.append((line.replace('\u21b5', '\n'), []))
    return [c for c in cases if c[1]]


def outcome(script):
    """What the binary said, in the format of the case files."""
    done = subprocess.run([BV, 'plugin', 'eval', '--typed', '--dir', os.path.join(CASES, 'modules'), '-e', script],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(), timeout=cli.PATIENCE_S)
    out = done.stdout.decode()
    err = done.stderr.decode()
    assert done.returncode in (0, 1), (script, done)
    assert (err == '') == (done.returncode == 0), (script, done)
    assert not err or err.endswith('\n'), (script, done)
    text = (out + ('ERROR: ' + err if err else ''))[:-1].replace('\n', ' | ')
    return re.sub(r'anon\$[0-9a-f]+', 'anon$\u2026', text)


def failing(path):
    cases = read_cases(path)
    assert len(cases) > 10, path
    cases = cases[::STEP]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: outcome(case[0]), cases))
    wrong = []
    for (script, accepted), got in zip(cases, results):
        plain = [a.replace('PARSE ERROR: ', 'ERROR: ') for a in accepted]
        # A newline in a value or in printed text is joined in the same way on both sides.
        if got not in plain:
            wrong.append('%s\n    => %s\n    got %s' % (script, accepted[0], got))
    return wrong


def test_language_cases():
    wrong = failing(os.path.join(CASES, 'language.txt'))
    assert not wrong, '%d wrong\n%s' % (len(wrong), '\n'.join(wrong[:20]))


def test_module_cases():
    wrong = failing(os.path.join(CASES, 'modules.txt'))
    assert not wrong, '%d wrong\n%s' % (len(wrong), '\n'.join(wrong[:20]))


def test_further_cases():
    files = glob.glob(os.path.join(CASES, 'cases', '*.txt'))
    assert files
    wrong = [w for path in sorted(files) for w in failing(path)]
    assert not wrong, '%d wrong\n%s' % (len(wrong), '\n'.join(wrong[:20]))


# ---- the command ----

def eval_(*args, **more):
    return bv('plugin', 'eval', *args, **more)


def test_values_and_errors():
    assert expect(eval_('-e', '1 + 2'), out='').out == '3\n'
    assert expect(eval_('-e', '"a\\n" + 1', '--typed'), out='').out == 'string: "a\\n1"\n'
    assert expect(eval_('-e', ''), out='').out == '()\n'
    assert expect(eval_('-e', '-7'), out='').out == '-7\n'
    assert expect(eval_('-e', 'print("x");\ndebug(1); 2'), out='').out == 'print: x\ndebug: 1 @2:1 None\n2\n'
    result = expect(eval_('-e', 'print(1); 1 / 0'), 1, out='print: 1\n', err='')
    assert result.err == 'Division by zero: 1 / 0\n', result
    assert expect(eval_('-e', 'let x = ;'), 1, err='').err == "Unexpected ';' (line 1, position 9)\n"
    assert expect(eval_('-e', 'fn f() { throw 1 } f()'), 1, err='').err == \
        "Runtime error: 1 (line 1, position 10)\nin call to function 'f' (line 1, position 20)\n"


def test_functions():
    script = 'const K = "k"; fn f(x) { x + global::K } fn g() { #{a: 1} } private fn h() { 1 }'
    assert expect(eval_('-e', script, '--call', 'f', 'v'), out='').out == '"vk"\n'
    assert expect(eval_('-e', script, '--call=g'), out='').out == '#{"a": 1}\n'
    assert expect(eval_('-e', script, '-c', 'h'), out='').out == '1\n'
    assert expect(eval_('-e', script, '-c', 'f', ''), out='').out == '"k"\n'
    assert expect(eval_('-e', script, '-c', 'f', '--', '-v'), out='').out == '"-vk"\n'
    assert expect(eval_('-e', script, '-c', 'f'), 1, err='').err == 'Function not found: f\n'
    assert expect(eval_('-e', script, '-c', 'nothing', 'x'), 1, err='').err == 'Function not found: nothing\n'


def test_host_calls():
    """The host calls of the language's reference: the top level runs first, then the function."""
    script = ('import "m" as m;\nconst A = m::get();\nfn f() { global::A }\nfn g() { 1/0 }\nfn h(x) { x }\n'
              'private fn p() { 9 }\nfn e() { exit(3); 4 }\nlet v = 5;\nfn s() { v }\nprint("top");')
    def call(name, code=0, err=None):
        return expect(eval_('-e', script, '--typed', '-d', os.path.join(CASES, 'modules'), '--call', name), code,
                      out='print: top\n', err=err)
    assert call('f').out == 'print: top\ni64: 6\n'
    assert call('p').out == 'print: top\ni64: 9\n'
    assert call('e').out == 'print: top\ni64: 3\n'
    assert call('g', 1, '').err == 'Division by zero: 1 / 0\n'
    assert call('h', 1, '').err == 'Function not found: h\n'
    assert call('s', 1, '').err == 'Variable not found: v (line 9, position 10)\n'
    assert call('nope', 1, '').err == 'Function not found: nope\n'


def test_files():
    with tempfile.TemporaryDirectory() as where:
        main = os.path.join(where, 'script.rhai')
        with open(main, 'w') as f:
            f.write('#!/usr/bin/env rhai\nimport "sub/m" as m;\nfn f() { m::boom() }\nm::two() + 1')
        os.mkdir(os.path.join(where, 'sub'))
        with open(os.path.join(where, 'sub', 'm.rhai'), 'w') as f:
            f.write('fn two() { 2 } fn boom() { throw "b" }')
        assert expect(eval_(main), out='').out == '3\n'
        said = expect(eval_(main, '--call', 'f'), 1, err='').err
        assert said == "Runtime error: b (line 1, position 28)\nin call to function 'boom' @ 'sub/m' " \
            "(line 3, position 13)\n", said
        expect(eval_(main, '--dir', os.path.join(where, 'sub')), 1, err='Module not found: sub/m (line 2, position 8)')
        expect(eval_('-e', 'import "../script" as s; 1', '-d', os.path.join(where, 'sub')), 1, err='../script')
        os.symlink('/etc', os.path.join(where, 'out'))
        expect(eval_('-e', 'import "out/passwd" as s; 1', '-d', where), 1, err='out/passwd')
        assert expect(eval_('-', stdin=b'40 + 2'), out='').out == '42\n'
        assert expect(eval_('-', stdin=b'#!/usr/bin/rhai\ndebug(1)'), out='').out == 'debug: 1 @2:1 None\n()\n'
        assert expect(eval_('-', '-c', 'f', 'x', stdin=b'fn f(a) { a + a }'), out='').out == '"xx"\n'
        expect(eval_(os.path.join(where, 'none')), 3, err="none': No such file")
        expect(eval_('-e', '1', '-d', os.path.join(where, 'none')), 3, err='cannot open directory')


def test_node():
    with tempfile.TemporaryDirectory() as where:
        def put(name, text):
            with open(os.path.join(where, name), 'w') as f:
                f.write(text)
            return os.path.join(where, name)
        env = put('env.json', '{"node_name": "mine", "extra": {"a": [1, 2.5, null]}}')
        secrets = put('secrets.json', '{"a": "A"}')
        default = put('default.json', '{"a": "A", "*": "other"}')
        asks = 'fn ask(k) { try { return get_secret(k).as_string(); } catch (e) { return e; } } [ask("a"), ask("b")]'
        assert expect(eval_('-e', asks), out='').out == '["secret value", "secret value"]\n'
        assert expect(eval_('-e', asks, '--secrets', secrets), out='').out == '["A", "not_found"]\n'
        assert expect(eval_('-e', asks, '--secrets', default), out='').out == '["A", "other"]\n'
        assert expect(eval_('-e', 'let e = node_env(); [e.node_name, e.extra.a, e.node_variant, e.node_ip]', '--env', env,
                            '--variant', 'main'), out='').out == '["mine", [1, 2.5, ()], "main", "1.2.3.4"]\n'
        other = put('other.json', '{"node_variant": "other"}')
        assert expect(eval_('-e', 'node_env().node_variant', '--env', other), out='').out == '"other"\n'
        assert expect(eval_('-e', 'node_env().node_variant', '--env', other, '--variant', 'main'), out='').out == '"main"\n'
        assert expect(eval_('-e', 'node_params()', '-p', 'a=1', '--param', 'b=x=y', '-p', 'a=2'), out='').out == \
            '#{"a": "2", "b": "x=y"}\n'
        assert expect(eval_('-e', 'save_data("d"); load_data() + file_read("/x").len'), out='').out == '"d0"\n'
        said = expect(eval_('-v', '-e', 'info("now"); run_sh("ls").exit_code'), out='0\n', err='info: now\n').err
        assert said == 'info: now\nrequest: {"call":"run_sh","body":"ls"}\n', said
        expect(eval_('-e', '1', '-p', 'a'), 2, err="'a' is not KEY=VALUE")
        expect(eval_('-e', '1', '--env', put('list.json', '[]')), 8, err='holds no JSON object')
        expect(eval_('-e', '1', '--env', put('bad.json', '{')), 8, err='is not JSON')
        expect(eval_('-e', '1', '--secrets', put('number.json', '{"a": 1}')), 1, err="secrets: 'a' is not a string")


def test_json():
    assert json.loads(expect(eval_('-e', '#{a: [1, 2.5, "x", (), true]}', '--json'), out='').out) == {'a': [1, 2.5, 'x', None, True]}
    assert expect(eval_('-j', '-e', 'print("p"); "a\\n"'), out='', err='print: p\n').out == '"a\\n"\n'
    assert expect(eval_('-j', '-e', '2.0'), out='').out == '2.0\n'
    assert expect(eval_('-j', '-e', '0..3'), out='').out == '"0..3"\n'
    assert expect(eval_('-j', '-e', '()'), out='').out == 'null\n'
    expect(eval_('-j', '-e', 'throw "x"'), 1, err='Runtime error: x (line 1, position 1)\n')

    answer = json.loads(expect(bv('-o', 'json', 'plugin', 'eval', '-e', '#{a: [1, 2.5, "x", (), true]}'), out='').out)
    assert answer == {'type': 'map', 'text': '#{"a": [1, 2.5, "x", (), true]}', 'value': {'a': [1, 2.5, 'x', None, True]}}
    answer = json.loads(expect(bv('-o', 'json', 'plugin', 'eval', '-e', 'print("p"); |x| x'), out='', err='print: p\n').out)
    assert answer['type'] == 'Fn' and 'value' not in answer, answer
    answer = json.loads(expect(eval_('-e', 'fn f(x) { throw #{code: x} }\nf(7)', '-o', 'json'), 1, out='').out)
    error = answer['error']
    assert error['kind'] == 'ErrorRuntime' and error['value'] == {'code': 7}, error
    assert (error['line'], error['column'], error['source']) == (1, 11, None), error
    assert error['trace'] == [{'what': 'function', 'name': 'f', 'source': None, 'line': 2, 'column': 1}], error
    answer = json.loads(expect(eval_('-e', 'let x = ;', '-o', 'json'), 1, out='').out)
    assert answer['error']['kind'] == 'ErrorParsing' and answer['error']['message'] == "Unexpected ';'", answer
    assert (answer['error']['line'], answer['error']['column']) == (1, 9), answer


def test_a_result_that_cannot_be_shown():
    expect(eval_('-e', 'let a = []; for i in 0..100000 { a = [a]; } a'), 10, err='Error: the result is too long, or nested too deep, to be shown\n')


LIMITS = [
    (('--timeout', '1'), 'loop {}', 'Script terminated'),
    (('--max-operations', '1000'), 'loop {}', 'Too many operations'),
    (('--max-memory-mb', '1'), 'let a = []; loop { a.push("0123456789" + a.len()) }', 'Memory limit of 1000000 bytes'),
    (('--max-call-depth', '5'), 'fn f(x) { f(x + 1) } f(0)', 'Stack overflow'),
    (('--max-string-bytes', '100'), 'let s = "x"; loop { s += s }', 'Length of string too large'),
    (('--max-array-items', '10'), 'let a = []; loop { a.push(1) }', 'too large'),
    (('--max-modules', '1'), 'import "m" as a; import "sub/s" as b; 1', 'Too many modules'),
    (('--max-expression-depth', '5'), '((((((1))))))', 'exceeds maximum complexity'),
]


def test_limits():
    for options, script, says in LIMITS:
        expect(eval_('-e', script, '-d', os.path.join(CASES, 'modules'), *options), 1,
               out='' if 'import' in script else None, err=says)


def test_usage():
    expect(eval_(), 2, err='FILE or -e SCRIPT is missing')
    expect(eval_('-e', '1', 'more'), 2, err="'more' is one argument too many")
    expect(eval_('a', 'b'), 2, err="'b' is one argument too many")
    expect(eval_('-e', '1', '--timeout', 'x'), 2, err='not a whole number')


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
