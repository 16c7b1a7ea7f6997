"""bv plugin render: templates from files, their parameters, and mistakes with their place."""
import json
import os
import sys
import tempfile

import cli
from cli import bv, expect


class Files:
    """Files in a directory of their own."""

    def __init__(self, **files):
        self.where = tempfile.TemporaryDirectory()
        for name, text in files.items():
            with open(self.path(name), 'w', encoding='utf-8') as f:
                f.write(text)

    def path(self, name):
        return os.path.join(self.where.name, name.replace('__', '.'))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.where.cleanup()


def test_parameters():
    with Files(t='{{ a }} {{ b.c | join(sep="-") }} {{ big }}\n',
               p='{"a": "file", "b": {"c": [1, 2.5]}, "big": 18446744073709551615}') as f:
        expect(bv('plugin', 'render', f.path('t'), '--params', f.path('p')),
               out='file 1-2.5 18446744073709551615\n')
        expect(bv('plugin', 'render', f.path('t'), '--params', f.path('p'), '-p', 'a=word=x'), out='word=x 1-2.5')
        expect(bv('plugin', 'render', '-', '-p', 'x=1', stdin=b'<{{ x }}>'), out='<1>')
        expect(bv('plugin', 'render', f.path('t'), '-p', 'nothing'), code=2, err='KEY=VALUE')
        expect(bv('plugin', 'render', f.path('t'), '--params', f.path('t')), code=8, err='is not JSON')
        expect(bv('plugin', 'render', f.path('none')), code=3, err='cannot read')


def test_names():
    with Files(page__html__template='{{ x }}', page__txt='{{ x }}') as f:
        expect(bv('plugin', 'render', f.path('page.html.template'), '-p', 'x=<'), out='&lt;')
        expect(bv('plugin', 'render', f.path('page.txt'), '-p', 'x=<'), out='<')
        expect(bv('plugin', 'render', f.path('page.txt'), '-n', 'a.xml', '-p', 'x=<'), out='&lt;')


def test_includes_and_environment():
    with Files(main='[{% include "part" %}]{{ get_env(name="PLACE") }}', part='{{ x }}') as f:
        expect(bv('plugin', 'render', f.path('main'), '-p', 'x=1', PLACE='here'), out='[1]here')
        with Files(part='other') as g:
            expect(bv('plugin', 'render', f.path('main'), '-I', g.where.name, PLACE=''), out='[other]')


def test_mistakes():
    with Files(syntax='a\n{% if x %}\n', value='{{ x }}\n  {{ missing }}', includes='{% include "value" %}') as f:
        r = bv('plugin', 'render', f.path('syntax'))
        expect(r, code=1, err='%s:3:1: Failed to parse \'syntax\'' % f.path('syntax'))
        expect(r, code=1, err='expected `{% endif %}` for the tag in line 2')
        expect(bv('plugin', 'render', f.path('value'), '-p', 'x=1'), code=1,
               err='%s:2:6: Failed to render \'value\': Variable `missing` not found' % f.path('value'))
        r = bv('plugin', 'render', f.path('value'), '-o', 'json')
        answer = json.loads(r.out)
        assert r.code == 1 and answer['line'] == 1 and answer['column'] == 4, r
        assert answer['file'] == f.path('value') and 'Variable `x` not found' in answer['error'], r
        answer = json.loads(bv('plugin', 'render', f.path('includes'), '-p', 'x=1', '-o', 'json').out)
        assert answer['file'] == 'value' and answer['line'] == 2, answer
        answer = json.loads(bv('plugin', 'render', f.path('value'), '-p', 'x=1', '-p', 'missing="', '-o', 'json').out)
        assert answer == {'text': '1\n  "'}, answer


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
