#!/usr/bin/env python3
"""Snapshots of a chain that rewrites one LMDB file in place: monerod on a private test chain, no daemon and no node."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request

from blockvisor import Failed, expect, main, wait_for

BUILD = pathlib.Path(sys.argv[1])
TOP = pathlib.Path(tempfile.mkdtemp(prefix="bv-monero-", dir="/tmp"))
STORE = TOP / "store"
KEY = "monero-regtest"
GRID = 64 * 1024
# Whose blocks they are does not matter: the project's own address, so that nobody has to make a wallet.
ADDRESS = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
LEFT_OUT = ("--exclude", "bitmonero.log", "--protect", "rpc_ssl.*")
SEEN = {}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Monerod:
    """Runs on a data directory as a context manager."""

    def __init__(self, data):
        self.data, self.port, self.process = data, free_port(), None

    def __enter__(self):
        self.process = subprocess.Popen(
            ["monerod", "--regtest", "--keep-fakechain", "--offline", "--fixed-difficulty", "1", "--data-dir", self.data,
             "--non-interactive", "--rpc-bind-port", str(self.port), "--no-zmq", "--no-igd", "--log-level", "0",
             "--rpc-ssl", "disabled"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("monerod", self.answers)
        except Failed:
            self.process.kill()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        self.process.wait(timeout=60)
        return False

    def rpc(self, method, **params):
        body = json.dumps({"jsonrpc": "2.0", "id": "0", "method": method, "params": params}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json_rpc", body, timeout=60) as answer:
            reply = json.load(answer)
        expect("result" in reply, f"{method}: {reply}")
        return reply["result"]

    def answers(self):
        try:
            return self.rpc("get_block_count")["count"] > 0
        except OSError:
            expect(self.process.poll() is None, f"monerod ended with {self.process.returncode}")
            return False

    def mine(self, count):
        self.rpc("generateblocks", amount_of_blocks=count, wallet_address=ADDRESS, starting_nonce=0)

    def chain(self):
        return self.rpc("get_block_count")["count"], self.rpc("get_last_block_header")["block_header"]["hash"]


def bv(*args):
    done = subprocess.run([BUILD / "cli/bv", "-q", "-o", "json", "snapshot", *map(str, args)], text=True, check=False,
                          capture_output=True, timeout=60, env=dict(os.environ, BV_HOST="unix:/nonexistent"))
    expect(done.returncode == 0, f"bv snapshot {' '.join(map(str, args))}: exit code {done.returncode}: {done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def root_of(version):
    return json.loads((STORE / KEY / str(version) / "snapshot.json").read_text())


def upload(version):
    bv("upload", TOP / "data", f"dir:{STORE}", "--key", KEY, *LEFT_OUT,
       "--gate", f"test -s {TOP}/data/fake/lmdb/data.mdb #")
    shutil.copytree(TOP / "data", TOP / f"was-{version}")


def two_versions_of_a_chain():
    with Monerod(TOP / "data") as chain:
        chain.mine(30)
        SEEN[1] = chain.chain()
    upload(1)
    with Monerod(TOP / "data") as chain:
        chain.mine(5)
        SEEN[2] = chain.chain()
    upload(2)
    expect(SEEN[2][0] == SEEN[1][0] + 5, f"the chain went from {SEEN[1]} to {SEEN[2]}")


def changed_bytes():
    """Of the second version's files, in pieces as large as the grid that such files are cut at."""
    total = 0
    for path in (p for p in (TOP / "was-2").rglob("*") if p.is_file()):
        new = path.read_bytes()
        before = TOP / "was-1" / path.relative_to(TOP / "was-2")
        old = before.read_bytes() if before.exists() else b""
        total += sum(len(new[i:i + GRID]) for i in range(0, len(new), GRID) if new[i:i + GRID] != old[i:i + GRID])
    return total


def the_second_sends_what_changed():
    first, second = root_of(1), root_of(2)
    expect(second["base"] == 1, f"the root is {second}")
    pages = 4096
    expect(second["sent_bytes"] <= 1.3 * changed_bytes() + pages,
           f"{second['sent_bytes']} bytes were sent, {changed_bytes()} changed")
    shown = bv("upload", TOP / "data", f"dir:{STORE}", "--key", KEY, *LEFT_OUT)
    third = root_of(3)
    expect(third["sent_bytes"] < pages, f"unchanged, {third['sent_bytes']} bytes were sent: {shown}")
    expect(third["plain_bytes"] == second["plain_bytes"] and first["plain_bytes"] > 0, "sizes are wrong")


def both_come_back_and_agree():
    for version in (1, 2):
        target = TOP / f"back-{version}"
        bv("download", f"dir:{STORE}", target, "--key", KEY, "--version", version)
        for path in ("fake/lmdb/data.mdb",):
            expect((target / path).read_bytes() == (TOP / f"was-{version}" / path).read_bytes(), f"'{path}' differs")
        expect(not list(target.glob("rpc_ssl.*")), "a protected file was restored")
        with Monerod(target) as chain:
            expect(chain.chain() == SEEN[version], f"version {version} is at {chain.chain()}, was at {SEEN[version]}")


def a_version_goes_forward_in_place():
    """The directory of version 1, which monerod has opened meanwhile, becomes version 2."""
    target = TOP / "back-1"
    bv("download", f"dir:{STORE}", target, "--key", KEY, "--version", 2)
    with Monerod(target) as chain:
        expect(chain.chain() == SEEN[2], f"it is at {chain.chain()} instead of {SEEN[2]}")


if __name__ == "__main__":
    if not shutil.which("monerod"):
        print("1..0 # SKIP there is no monerod")
        print("SKIPPED: there is no monerod: tools/install-packages test", file=sys.stderr)
        sys.exit(0)
    try:
        sys.exit(main([two_versions_of_a_chain, the_second_sends_what_changed, both_come_back_and_agree,
                       a_version_goes_forward_in_place]))
    finally:
        shutil.rmtree(TOP, ignore_errors=True)
