#!/usr/bin/env python3
"""Snapshots of real chains: versions that share what did not change, protected paths, the gate, and killed transfers."""
import json
import os
import signal
import sys
import time

import blockvisor
from blockvisor import expect, wait_for

BUILD, SOURCE = sys.argv[1], sys.argv[2]
IMAGE = "litecoin/litecoin-regtest-full"
KEY = "litecoin-regtest-full-v1"
HOST = blockvisor.Host(BUILD, SOURCE, ["--snapshot-format", "snapshot"])
STORE = HOST.root / "var/lib/blockvisor/snapshots" / KEY
SEEN = {}
# Blocks of a test chain are mostly zeros; this stands for those of a real one.
BULK = "regtest/blocks/rev88888.dat"
# Asked before a version is published; a file decides, so that the test can.
GATE = """
fn snapshot_gate(what) {
    if run_sh("test -e /blockjoy/refuse").exit_code == 0 { throw "the data is not fit for " + what; }
}
"""


def root_of(version):
    return json.loads((STORE / str(version) / "snapshot.json").read_text())


def data_of(node):
    return HOST.node_dir(node) / "data/protocol_data"


def answers(node):
    return lambda: HOST.bv("node", "run", "height", node, check=False).code == 0


def chain_of(node):
    return HOST.run(node, "height"), HOST.run(node, "best_block")


def a_node_makes_blocks():
    """The image leaves wallets in its uploads, so that only their protection keeps them out."""
    image = HOST.build_image("litecoin")
    plugin = image / "var/lib/babel/plugin/main.rhai"
    text = plugin.read_text()
    expect('"regtest/wallets/**",' in text, "the image has changed")
    plugin.write_text(text.replace('"regtest/wallets/**",', "") + GATE)
    HOST.start()
    HOST.bv("image", "import", image, timeout=300)
    HOST.bv("node", "create", IMAGE, "--name", "ltc-1", "--prop", "rpc-port=29453")
    HOST.bv("node", "start", "ltc-1")
    wait_for("litecoind", answers("ltc-1"))
    HOST.run("ltc-1", "mine", "101")
    (data_of("ltc-1") / BULK).write_bytes(os.urandom(24 << 20))
    expect(list((data_of("ltc-1") / "regtest/wallets").glob("*/wallet.dat")), "there is no wallet to protect")
    SEEN[1] = chain_of("ltc-1")


def its_first_snapshot():
    snapshot = HOST.bv("snapshot", "upload", "ltc-1", timeout=120).json
    expect(snapshot["key"] == KEY and snapshot["version"] == 1, f"the answer is {snapshot}")
    root = root_of(1)
    expect(root["key"] == KEY and root["version"] == 1 and "base" not in root, f"the root is {root}")
    expect(not list(STORE.glob("1/data.part_*")), "it is an archive")
    expect(not list((STORE.parent / ".staging").glob("*/packs/*/*")), "packs are left in the staging directory")
    wait_for("litecoind after the upload", answers("ltc-1"))


def a_second_one_sends_little():
    HOST.run("ltc-1", "mine", "7")
    SEEN[2] = chain_of("ltc-1")
    expect(HOST.bv("snapshot", "upload", "ltc-1", timeout=120).json["version"] == 2, "no second version")
    first, second = root_of(1), root_of(2)
    expect(second["base"] == 1, f"the root is {second}")
    expect(second["sent_bytes"] * 20 < first["sent_bytes"], f"{second['sent_bytes']} of {first['sent_bytes']} bytes were sent")
    wait_for("litecoind after the upload", answers("ltc-1"))


def a_gate_that_refuses():
    refuse = HOST.node_dir("ltc-1") / "data/refuse"
    refuse.touch()
    result = HOST.bv("snapshot", "upload", "ltc-1", timeout=120, check=False)
    expect(result.code != 0 and "the data is not fit for" in result.err, f"exit {result.code}: {result.err}")
    expect(not (STORE / "3/snapshot.json").exists(), "it was published all the same")
    shown = HOST.bv("snapshot", "ls", KEY).json["snapshots"]
    expect(sorted(s["version"] for s in shown) == [1, 2], f"versions are {shown}")
    HOST.bv("job", "stop", "ltc-1", "upload", check=False)
    refuse.unlink()
    wait_for("litecoind after the upload", answers("ltc-1"))


def restore(name, port, version):
    HOST.bv("node", "create", IMAGE, "--name", name, "--prop", f"rpc-port={port}", "--snapshot-version", version)
    HOST.bv("node", "start", name)
    wait_for(f"the restored client of {name}", answers(name))
    expect(chain_of(name) == SEEN[version], f"{name} has {chain_of(name)}, the snapshot {SEEN[version]}")
    expect((data_of(name) / BULK).read_bytes() == (data_of("ltc-1") / BULK).read_bytes(), f"'{BULK}' is not what it was")
    expect(not list((data_of(name) / "regtest").glob("wallets/*/wallet.dat")), "a wallet travelled")


def both_versions_come_back():
    restore("ltc-v1", 29454, 1)
    restore("ltc-v2", 29455, 2)
    for name in ("ltc-v1", "ltc-v2"):
        HOST.bv("node", "rm", "-y", name)


def kill_transfers(node, done, times):
    """SIGKILL to whatever babel_transfer there is, until it was hit so often or the work is done."""
    hits = 0
    while not done() and hits < times:
        for pid in HOST.pids(node, "bin/babel_transfer"):
            time.sleep(0.15)
            try:
                os.kill(pid, signal.SIGKILL)
                hits += 1
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    return hits


def killed_transfers_go_on():
    extra = data_of("ltc-1") / "regtest/blocks/rev99999.dat"
    with open(extra, "wb") as f:
        for _ in range(48):
            f.write(os.urandom(1 << 20))
    upload = HOST.bv_start("snapshot", "upload", "ltc-1", "--format", "snapshot")
    hits = kill_transfers("ltc-1", lambda: upload.poll() is not None, 2)
    out, err = upload.communicate(timeout=120)
    expect(upload.returncode == 0, f"the upload failed after {hits} kills: {err}")
    version = json.loads(out)["version"]
    expect(hits > 0, "the upload was never hit")
    wait_for("litecoind after the upload", answers("ltc-1"))
    HOST.bv("node", "create", IMAGE, "--name", "ltc-k", "--prop", "rpc-port=29456", "--snapshot-version", version)
    start = HOST.bv_start("node", "start", "ltc-k")
    hits = kill_transfers("ltc-k", answers("ltc-k"), 2)
    out, err = start.communicate(timeout=120)
    expect(start.returncode == 0, f"the start failed after {hits} kills: {err}")
    wait_for("the restored client", answers("ltc-k"))
    copy = data_of("ltc-k") / "regtest/blocks/rev99999.dat"
    expect(copy.read_bytes() == extra.read_bytes(), "the large file is not what was uploaded")
    expect(chain_of("ltc-k") == SEEN[2], "the chain is another one")


def ends():
    for name in ("ltc-1", "ltc-k"):
        HOST.bv("node", "rm", "-y", name)
    HOST.stop()


if __name__ == "__main__":
    with HOST:
        sys.exit(blockvisor.main([a_node_makes_blocks, its_first_snapshot, a_second_one_sends_little, a_gate_that_refuses,
                                  both_versions_come_back, killed_transfers_go_on, ends]))
