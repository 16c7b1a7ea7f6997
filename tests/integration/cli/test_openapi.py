"""The OpenAPI document against the table of calls, and what a daemon really answers against the document."""
import http.client
import json
import os
import re
import socket
import sys

import cli
from cli import SOURCE, Daemon

with open(os.path.join(SOURCE, 'doc/openapi.json'), encoding='utf-8') as f:
    DOCUMENT = json.load(f)
TYPES = {'s': 'string', 'b': 'boolean', 'u': 'integer', 'd': 'number', 'o': 'object', 'a': 'array'}


def table():
    """name -> (method, path, {argument: (type, required)}) of lib/host/calls.def"""
    with open(os.path.join(SOURCE, 'lib/host/calls.def'), encoding='utf-8') as f:
        text = re.sub(r'"\s*\n\s*"', '', f.read())  # arguments on two lines
    rows = re.findall(r'BV_CALL\((\w+),\s*"([^"]+)",\s*"([^"]+)",\s*"([^"]+)",\s*"([^"]*)"\)', text)
    assert len(rows) == text.count('BV_CALL('), 'a line of calls.def is not understood'
    return {name: (method, path, {m[0]: (m[1], bool(m[2])) for m in re.findall(r'(\w+):(\w)(!?)', args)})
            for _, name, method, path, args in rows}


def operations():
    for path, methods in DOCUMENT['paths'].items():
        for method, operation in methods.items():
            if 'operationId' in operation:
                yield operation['operationId'], method.upper(), path, operation


def test_every_call_is_described():
    described = {name: (method, path) for name, method, path, _ in operations()}
    assert described == {name: row[:2] for name, row in table().items()}


def described_arguments(operation):
    found = {}
    for parameter in operation.get('parameters', []):
        found[parameter['name']] = (parameter['schema']['type'], parameter['required'], parameter['in'])
    body = operation.get('requestBody')
    if body:
        schema = body['content']['application/json']['schema']
        assert schema['additionalProperties'] is False
        assert body['required'] == bool(schema.get('required'))
        for name, value in schema['properties'].items():
            found[name] = (value['type'], name in schema.get('required', []), 'body')
    return found


def test_arguments():
    rows = table()
    for name, method, path, operation in operations():
        wanted = {}
        for argument, (kind, required) in rows[name][2].items():
            place = 'path' if '{%s}' % argument in path else 'query' if method in ('GET', 'DELETE') else 'body'
            wanted[argument] = (TYPES[kind], required, place)
        assert described_arguments(operation) == wanted, name


def test_statuses():
    """Those of lib/server/answer.c."""
    with open(os.path.join(SOURCE, 'lib/server/answer.c'), encoding='utf-8') as f:
        statuses = set(re.findall(r'\{ BV_\w+, (\d+) \}', f.read())) | {'500'}
    for name, _, _, operation in operations():
        assert set(operation['responses']) == statuses, name


def test_codes():
    """Those of lib/base/error.c."""
    with open(os.path.join(SOURCE, 'lib/base/error.c'), encoding='utf-8') as f:
        names = re.findall(r'\{ BV_E_\w+, "(\w+)" \}', f.read())
    code = DOCUMENT['components']['schemas']['Error']['properties']['error']['properties']['code']
    assert set(code['enum']) == set(names)


def test_references():
    def walk(node):
        if isinstance(node, dict):
            if '$ref' in node:
                resolve(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
    walk(DOCUMENT)


# ---- what is answered ----

def resolve(schema):
    while '$ref' in schema:
        found = DOCUMENT
        for key in schema['$ref'].lstrip('#/').split('/'):
            found = found[key]
        schema = found
    return schema


def is_of(value, kind):
    if kind == 'integer':
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == 'number':
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {'string': str, 'boolean': bool, 'object': dict, 'array': list}[kind])


def check(value, schema, where):
    """Asserts that a value is what a schema says; members that it does not name are mistakes here."""
    schema = resolve(schema)
    if value is None and schema.get('nullable'):
        return
    if 'oneOf' in schema:
        fitting = 0
        for choice in schema['oneOf']:
            try:
                check(value, choice, where)
                fitting += 1
            except AssertionError:
                pass
        assert fitting == 1, '%s: %r fits %d choices' % (where, value, fitting)
        return
    if 'type' in schema:
        assert is_of(value, schema['type']), '%s: %r is no %s' % (where, value, schema['type'])
    if 'enum' in schema:
        assert value in schema['enum'], '%s: %r' % (where, value)
    if isinstance(value, list):
        for i, item in enumerate(value):
            check(item, schema['items'], '%s[%d]' % (where, i))
    if isinstance(value, dict):
        for key in schema.get('required', []):
            assert key in value, '%s: %s is missing' % (where, key)
        for key, item in value.items():
            if key in schema.get('properties', {}):
                check(item, schema['properties'][key], '%s.%s' % (where, key))
            elif 'properties' in schema:
                assert schema.get('additionalProperties') is not None, '%s: %s is not described' % (where, key)


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('blockvisor', timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def request(connection, name, arguments):
    """Makes a call as the document says; the answer's status and document."""
    method, path, operation = next((m, p, o) for n, m, p, o in operations() if n == name)
    query, body = [], {}
    for argument, value in arguments.items():
        place = described_arguments(operation)[argument][2]
        text = value if isinstance(value, str) else json.dumps(value)
        if place == 'path':
            path = path.replace('{%s}' % argument, text.replace('/', '%2F'))
        elif place == 'query':
            query.append('%s=%s' % (argument, text))
        else:
            body[argument] = value
    text = json.dumps(body) if method in ('POST', 'PATCH') else None
    connection.request(method, path + ('?' + '&'.join(query) if query else ''), text)
    response = connection.getresponse()
    document = json.loads(response.read())
    assert str(response.status) in operation['responses'], (name, response.status)
    described = resolve(operation['responses'][str(response.status)])
    check(document, described['content']['application/json']['schema'], name)
    return response.status, document


N = 'node-0001'
CALLS = [
    ('host.info', {}), ('host.metrics', {}), ('host.limits', {}), ('host.set_limits', {'connections': 7}), ('host.events', {'after': 0}), ('node.list', {}),
    ('node.create', {'image': 'fake/fake-main:1.0.0', 'name': 'x', 'properties': {'block-ms': '10'}, 'tags': ['a']}),
    ('node.show', {'node': N}), ('node.show', {'node': 'x'}), ('node.start', {'node': 'x'}),
    ('node.restart', {'node': 'x', 'force': True}), ('node.stop', {'node': 'x'}), ('node.delete', {'node': 'x'}),
    ('node.run', {'node': N, 'method': 'height'}), ('node.reload', {'node': N}), ('node.tasks', {'node': N}), ('node.check', {'node': N, 'checks': ['jobs-status'], 'start': True}), ('node.update', {'node': N, 'properties': {'block-ms': '90'}}), ('node.capabilities', {'node': N}), ('node.exec', {'node': N}),
    ('job.list', {'node': N}), ('job.show', {'node': N, 'job': 'chain'}), ('job.stop', {'node': N, 'job': 'chain'}),
    ('job.show', {'node': N, 'job': 'chain'}), ('job.start', {'node': N, 'job': 'chain'}),
    ('job.skip', {'node': N, 'job': 'chain'}), ('job.show', {'node': N, 'job': 'chain'}),
    ('job.cleanup', {'node': N, 'job': 'chain'}), ('job.logs', {'node': N, 'job': 'chain', 'lines': 3}),
    ('image.list', {}), ('image.import', {'path': '/etc', 'name': 'a/b:1'}), ('image.remove', {'image': 'a/b:1'}),
    ('snapshot.upload', {'node': N}), ('snapshot.list', {}), ('snapshot.verify', {'key': 'fake-main-v1'}),
    ('snapshot.diff', {'key': 'fake-main-v1', 'old_version': 1, 'version': 1}),
    ('snapshot.prune', {'key': 'fake-main-v1', 'keep': 3, 'keep_versions': [1], 'grace_secs': 0, 'dry_run': True}),
    ('snapshot.download', {'key': 'fake-main-v1', 'dest_dir': '/nowhere'}), ('host.events', {'after': 0}),
]
FAILURES = [
    ('node.show', {'node': 'nobody'}, 404), ('node.create', {'image': 'nothing'}, 404),
    ('node.create', {'image': 'fake/fake-main:1.0.0', 'name': N}, 409),
    ('node.create', {'image': 'fake/fake-main:1.0.0', 'name': '..'}, 400), ('job.show', {'node': N, 'job': 'x'}, 404),
    ('snapshot.download', {'key': 'k', 'dest_dir': 'relative'}, 400), ('node.create', {}, 400),
]


def test_answers():
    assert {name for name, _ in CALLS} == set(table()), 'a call is not tried'
    with Daemon('nodes=1') as d:
        connection = Connection(d.socket)
        for name, arguments in CALLS:
            status, document = request(connection, name, arguments)
            assert status == 200, (name, document)
        for name, arguments, wanted in FAILURES:
            status, document = request(connection, name, arguments)
            assert status == wanted, (name, status, document)
        connection.close()


def test_the_daemon_has_the_document():
    with Daemon() as d:
        connection = Connection(d.socket)
        connection.request('GET', '/v1/openapi.json')
        assert json.loads(connection.getresponse().read()) == DOCUMENT
        connection.close()


def test_lines():
    with Daemon('delay_ms=500') as d:
        connection = Connection(d.socket)
        connection.request('POST', '/v1/images', '{"path":"/etc"}', {'Accept': 'application/x-ndjson'})
        lines = [json.loads(line) for line in connection.getresponse().read().splitlines()]
        for line in lines:
            check(line, {'$ref': '#/components/schemas/Line'}, 'line')
        assert len(lines) > 2 and 'result' in lines[-1] and all('progress' in line for line in lines[:-1]), lines
        connection.close()


if __name__ == '__main__':
    sys.exit(cli.run(sys.modules[__name__]))
