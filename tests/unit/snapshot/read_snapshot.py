#!/usr/bin/env python3
"""Restores a snapshot from a directory store, written from doc/snapshot-format.md alone.

    read_snapshot.py STORE-DIRECTORY KEY VERSION DESTINATION

Needs Python's standard library and the zstd and lz4 programs (each only for frames of its kind). It is slow and keeps whole
pages and packs in memory: it is there to prove the document, and as an example to write a better one from.
Everything it reads it checks; a snapshot that breaks a rule ends it with a message.
"""
import json
import os
import struct
import subprocess
import sys

CHUNK_MAX = 4 << 20
FRAME_MAX = CHUNK_MAX + (64 << 10)
PAGE_MAX = 1 << 20
PACK_MAX = 64 << 20
ROOT_MAX = 16 << 20
CODECS = ('stored', 'zstd', 'lz4')
DIRECTORY, FILE, CONTINUED, SYMLINK, HARDLINK = range(1, 6)


def need(holds, what):
    if not holds:
        raise SystemExit('read_snapshot: ' + what)


# ---- BLAKE3, from its specification; many inputs side by side, each in a lane of 64 bits of long integers ----

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIXES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
LANES = 256


def lanes(values):
    return int.from_bytes(struct.pack('<%dQ' % len(values), *values), 'little')


def compress(n, cv, m, counters, length, flags):
    """cv and m: 8 and 16 words of n lanes each."""
    ones = lanes([1] * n)
    mask = 0xFFFFFFFF * ones
    v = list(cv) + [iv * ones for iv in IV[:4]]
    v += [lanes([c & 0xFFFFFFFF for c in counters]), lanes([c >> 32 for c in counters]), length * ones, flags * ones]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(MIXES):
            va = v[a] + v[b] + m[2 * i] & mask
            vd = v[d] ^ va
            vd = (vd >> 16 | vd << 16) & mask
            vc = v[c] + vd & mask
            vb = v[b] ^ vc
            vb = (vb >> 12 | vb << 20) & mask
            va = va + vb + m[2 * i + 1] & mask
            vd ^= va
            vd = (vd >> 8 | vd << 24) & mask
            vc = vc + vd & mask
            vb ^= vc
            v[a], v[b], v[c], v[d] = va, (vb >> 7 | vb << 25) & mask, vc, vd
        m = [m[k] for k in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def values_of(n, cv):
    return list(zip(*(struct.unpack('<%dQ' % n, word.to_bytes(8 * n, 'little')) for word in cv)))


def leaves(data, first, flags):
    """Chaining values of n inputs of the same length, at most 1024 bytes each."""
    n = max(1, len(data) // 1024)
    length = len(data) // n
    cv = [iv * lanes([1] * n) for iv in IV]
    blocks = max(1, (length + 63) // 64)
    words = struct.unpack('<%dI' % (16 * blocks * n), data.ljust(64 * blocks * n, b'\0'))
    for i in range(blocks):
        m = [lanes(words[16 * i + k::16 * blocks]) for k in range(16)]
        f = (CHUNK_START if i == 0 else 0) | (CHUNK_END | flags if i == blocks - 1 else 0)
        cv = compress(n, cv, m, range(first, first + n), min(64, length - 64 * i), f)
    return values_of(n, cv)


def parents(values, flags):
    n = len(values) // 2
    m = [lanes([values[2 * i + k // 8][k % 8] for i in range(n)]) for k in range(16)]
    return values_of(n, compress(n, [iv * lanes([1] * n) for iv in IV], m, [0] * n, 64, PARENT | flags))


def blake3(data):
    whole = len(data) // 1024 * 1024
    root = ROOT if len(data) <= 1024 else 0
    values = []
    for at in range(0, whole, 1024 * LANES):
        values += leaves(data[at:min(at + 1024 * LANES, whole)], at // 1024, root)
    if whole < len(data) or not data:
        values += leaves(data[whole:], whole // 1024, root)
    while len(values) > 1:
        alone = values[-1:] if len(values) % 2 else []
        values = parents(values, ROOT if len(values) == 2 else 0) + alone
    return struct.pack('<8I', *values[0])


# ---- frames ----

def decompress(program, stored, what):
    done = subprocess.run([program, '-q', '-d', '-c'], input=stored, stdout=subprocess.PIPE, check=False)
    need(done.returncode == 0, what + ' cannot be decompressed')
    return done.stdout


class Packs:
    """The packs of a key; the last one stays in memory."""

    def __init__(self, directory):
        self.directory = directory
        self.name = None
        self.bytes = b''
        self.checked = set()

    def load(self, name):
        with open(os.path.join(self.directory, name[:2], name), 'rb') as f:
            self.bytes = f.read(PACK_MAX + 1)
        need(len(self.bytes) <= PACK_MAX, 'pack %s is too long' % name)
        self.name = name

    def frame(self, pack, offset, stored_len, plain_len, codec, digest):
        what = 'frame at %d of pack %s' % (offset, pack)
        need(0 < plain_len <= CHUNK_MAX and 0 < stored_len <= FRAME_MAX, what + ' has an impossible length')
        if pack != self.name:
            self.load(pack)
        need(offset + stored_len <= len(self.bytes), what + ' goes beyond its end')
        stored = self.bytes[offset:offset + stored_len]
        plain = stored if codec == 'stored' else decompress(codec, stored, what)
        need(len(plain) == plain_len, what + ' has another length')
        need(blake3(plain) == digest, what + ' has another hash')
        return plain


# ---- pages ----

class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def bytes(self, n):
        need(n <= len(self.data) - self.at, 'a page is cut short')
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.bytes(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                need(value < 1 << 64 and (byte > 0 or shift == 7), 'a number in a wrong form')
                return value
            need(shift < 70, 'a number in a wrong form')

    def signed(self):
        n = self.number()
        return n >> 1 ^ -(n & 1)


def check_path(path):
    need(len(path) <= 4095 and b'\0' not in path, 'a path that is too long or has a zero')
    for part in path.split(b'/'):
        need(part not in (b'', b'.', b'..') and len(part) <= 255, 'path %r' % path)


def read_meta(r):
    meta = {'mode': r.number(), 'uid': r.number(), 'gid': r.number(), 'mtime': r.signed() * 10**9}
    ns = r.number()
    need(meta['mode'] <= 0o7777 and ns < 10**9, 'an impossible mode or time')
    meta['mtime'] += ns
    meta['xattrs'] = [(r.bytes(r.number()), r.bytes(r.number())) for _ in range(r.number())]
    return meta


def read_entry(r, before):
    kind = r.number()
    shared = r.number()
    need(DIRECTORY <= kind <= HARDLINK and shared <= len(before), 'an entry of an unknown kind or path')
    entry = {'kind': kind, 'path': before[:shared] + r.bytes(r.number())}
    if entry['path'] or kind != DIRECTORY:
        check_path(entry['path'])
    if kind in (DIRECTORY, FILE, SYMLINK):
        entry.update(read_meta(r))
    if kind in (FILE, CONTINUED):
        entry['size'] = r.number()
        entry['extents'] = [(r.number(), r.number()) for _ in range(r.number())]
    if kind in (SYMLINK, HARDLINK):
        entry['target'] = r.bytes(r.number())
    return entry


def read_page(data):
    need(len(data) <= PAGE_MAX and data[:5] == b'BVSP\1', 'not a page')
    r = Reader(data)
    r.bytes(5)
    packs = [r.bytes(32).hex() for _ in range(r.number())]
    entries = []
    for _ in range(r.number()):
        entries.append(read_entry(r, entries[-1]['path'] if entries else b''))
    chunks = []
    for _ in range(r.number()):
        digest = r.bytes(32)
        plain, codec, pack, offset, stored = (r.number() for _ in range(5))
        need(codec < len(CODECS) and pack < len(packs), 'a chunk of an unknown codec or pack')
        chunks.append((packs[pack], offset, stored, plain, CODECS[codec], digest))
    need(r.at == len(data), 'bytes behind the end of a page')
    return entries, chunks


# ---- restoring ----

class Restore:
    def __init__(self, destination):
        self.destination = os.fsencode(destination)
        self.kinds = {}  # path -> kind
        self.last = None
        self.file = None  # the last one of the page before: path, size, where its extents ended
        self.pending = None  # file whose metadata is set when nothing more is written to it
        self.directories = []
        self.counts = {'entries': 0, 'files': 0}

    def full(self, path):
        return os.path.join(self.destination, path) if path else self.destination

    def check_order(self, entry):
        path = entry['path']
        if entry['kind'] == CONTINUED:
            need(self.file and self.file[:2] == (path, entry['size']), '%r is not what goes on' % path)
            return
        if self.last is None:
            need(path == b'' and entry['kind'] == DIRECTORY, 'the first entry is not the root')
        else:
            need(path.split(b'/') > self.last.split(b'/') if self.last else path != b'', '%r is out of order' % path)
            parent = path.rpartition(b'/')[0]
            need(self.kinds.get(parent) == DIRECTORY, '%r lies in no directory' % path)
        self.last = path
        self.kinds[path] = entry['kind']
        self.counts['entries'] += 1
        self.counts['files'] += entry['kind'] == FILE

    def set_meta(self, path, entry):
        links = {'follow_symlinks': False}
        if os.geteuid() == 0:
            os.chown(path, entry['uid'], entry['gid'], **links)
        if entry['kind'] != SYMLINK:
            os.chmod(path, entry['mode'])
        for name, value in entry['xattrs']:
            os.setxattr(path, name, value, **links)
        os.utime(path, ns=(entry['mtime'], entry['mtime']), **links)

    def write_file(self, path, entry, data):
        """Writes its extents of this page; `data` is what is left of the page's chunks. Returns how much it took."""
        at = self.file[2] if entry['kind'] == CONTINUED else 0
        taken = 0
        with open(path, 'r+b' if entry['kind'] == CONTINUED else 'xb') as f:
            f.truncate(entry['size'])
            for gap, length in entry['extents']:
                need(length > 0 and at + gap + length <= entry['size'], 'an extent beyond the size of %r' % path)
                need(taken + length <= len(data), 'a page has less data than its files')
                f.seek(at + gap)
                f.write(data[taken:taken + length])
                at += gap + length
                taken += length
        self.file = (entry['path'], entry['size'], at)
        return taken

    def add(self, entry, data):
        self.check_order(entry)
        path = self.full(entry['path'])
        kind = entry['kind']
        taken = 0
        if kind != CONTINUED:
            self.end_file()
        if kind == DIRECTORY:
            if entry['path']:
                os.mkdir(path)
            self.directories.append((path, entry))
        elif kind in (FILE, CONTINUED):
            taken = self.write_file(path, entry, data)
            if kind == FILE:
                self.pending = (path, entry)
        elif kind == SYMLINK:
            os.symlink(entry['target'], path)
            self.set_meta(path, entry)
        else:
            check_path(entry['target'])
            need(self.kinds.get(entry['target']) == FILE, '%r is a hard link to no file' % entry['path'])
            os.link(self.full(entry['target']), path)
        if kind not in (FILE, CONTINUED):
            self.file = None
        return taken

    def end_file(self):
        if self.pending:
            self.set_meta(*self.pending)
        self.pending = None

    def finish(self):
        self.end_file()
        for path, entry in reversed(self.directories):
            self.set_meta(path, entry)


def main(store, key, version, destination):
    with open(os.path.join(store, key, version, 'snapshot.json'), 'rb') as f:
        text = f.read(ROOT_MAX + 1)
    need(len(text) <= ROOT_MAX, 'the root is too long')
    root = json.loads(text)
    need(root['format'] == 'blockvisor-snapshot' and root['format_version'] == 1, 'another format')
    need(root['key'] == key and root['version'] == int(version), 'the root is of another snapshot')

    packs = Packs(os.path.join(store, key, 'packs'))
    os.makedirs(destination, exist_ok=True)
    restore = Restore(destination)
    n_chunks = n_bytes = 0
    for page in root['pages']:
        plain = packs.frame(page['pack'], page['offset'], page['stored'], page['plain'], page['codec'],
                            bytes.fromhex(page['hash']))
        entries, chunks = read_page(plain)
        data = b''.join(packs.frame(*chunk) for chunk in chunks)
        need((len(entries), len(chunks), len(data)) == (page['entries'], page['chunks'], page['bytes']),
             'a page is not what the root says')
        at = 0
        for entry in entries:
            at += restore.add(entry, data[at:] if at else data)
        need(at == len(data), 'a page has more data than its files')
        n_chunks += len(chunks)
        n_bytes += len(data)
    restore.finish()
    need((n_chunks, n_bytes) == (root['chunks'], root['plain_bytes']), 'the pages are not what the root says')
    need((restore.counts['entries'], restore.counts['files']) == (root['entries'], root['files']),
         'the root counts other entries than its pages')


if __name__ == '__main__':
    need(len(sys.argv) == 5, 'usage: read_snapshot.py STORE-DIRECTORY KEY VERSION DESTINATION')
    main(*sys.argv[1:])
