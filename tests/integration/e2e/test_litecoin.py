#!/usr/bin/env python3
"""A real chain through the whole system: image, node, blocks, snapshot, restore, and a daemon that dies."""
import os
import sys

import blockvisor
from blockvisor import expect, tree_digests, wait_for

BUILD, SOURCE = sys.argv[1], sys.argv[2]
IMAGE = "litecoin/litecoin-regtest-full"
HOST = blockvisor.Host(BUILD, SOURCE)
# What the image's plugin leaves out of snapshots.
NOT_UPLOADED = tuple("regtest/" + name for name in (
    "wallets/", ".cookie", ".lock", "settings.json", "debug.log", "peers.dat", "anchors.dat", "banlist.dat",
    "mempool.dat", "fee_estimates.dat"))


def imports_the_image():
    HOST.start()
    first = HOST.bv("image", "import", HOST.build_image("litecoin"), timeout=300).json
    again = HOST.bv("image", "import", HOST.root / "images/litecoin", timeout=300).json
    expect(first["id"] == again["id"], "the same content gave another image")
    expect(len(HOST.bv("image", "ls").json["images"]) == 1, "the image is there twice")


def runs_a_node():
    made = HOST.bv("node", "create", IMAGE, "--name", "ltc-1", "--prop", "rpc-port=29443").json
    expect(made["status"] == "stopped", f"a new node is {made['status']}")
    HOST.bv("node", "start", "ltc-1")
    wait_for("litecoind", lambda: HOST.bv("node", "run", "height", "ltc-1", check=False).code == 0)
    expect(HOST.run("ltc-1", "height") == "0", "a new chain has no blocks")


def mines_through_the_plugin():
    HOST.run("ltc-1", "mine", "101")
    shown = HOST.node("ltc-1")
    expect(shown["height"] == 101, f"height is {shown['height']}")
    expect(shown["protocol_status"]["health"] == "healthy", f"status is {shown['protocol_status']}")
    jobs = {job["name"]: job["status"] for job in shown["jobs"]}
    expect(jobs.get("litecoind") == "running", f"jobs are {jobs}")


def uploads_a_snapshot():
    snapshot = HOST.bv("snapshot", "upload", "ltc-1", timeout=120).json
    expect(snapshot["version"] == 1 and snapshot["total_bytes"] > 0, f"snapshot is {snapshot}")
    expect(HOST.bv("snapshot", "verify", snapshot["key"]).json["ok"], "the snapshot does not verify")
    wait_for("litecoind after the upload", lambda: HOST.bv("node", "run", "height", "ltc-1", check=False).code == 0)


def downloads_it_byte_for_byte():
    """The client is stopped, so what is uploaded is what lies there now; every file comes back as it was."""
    HOST.bv("job", "stop", "ltc-1", "litecoind")
    source = tree_digests(HOST.node_dir("ltc-1") / "data/protocol_data", skip=NOT_UPLOADED)
    snapshot = HOST.bv("snapshot", "upload", "ltc-1", timeout=120).json
    target = HOST.root / "fetched"
    HOST.bv("snapshot", "download", snapshot["key"], target, "--version", snapshot["version"])
    fetched = tree_digests(target)
    source = {path: digest for path, digest in source.items() if not path.endswith("/LOCK")}
    expect(len(source) > 5, f"only {len(source)} files were uploaded")
    expect(set(source) == set(fetched), f"other files came back: {sorted(set(source) ^ set(fetched))}")
    for path, digest in source.items():
        expect(fetched[path] == digest, f"'{path}' is not what was uploaded")
    wait_for("litecoind", lambda: HOST.bv("node", "run", "height", "ltc-1", check=False).code == 0)


def restores_into_a_second_node():
    HOST.bv("node", "create", IMAGE, "--name", "ltc-2", "--prop", "rpc-port=29444")
    HOST.bv("node", "start", "ltc-2")
    wait_for("the restored client", lambda: HOST.bv("node", "run", "height", "ltc-2", check=False).code == 0)
    for method in ("height", "best_block"):
        one, two = HOST.run("ltc-1", method), HOST.run("ltc-2", method)
        expect(one == two, f"{method}: {one} and {two}")
    expect(HOST.run("ltc-2", "height") == "101", "the restored chain has another height")


def nodes_outlive_a_killed_daemon():
    before = {name: HOST.processes(name) for name in ("ltc-1", "ltc-2")}
    for name, found in before.items():
        expect(any("litecoind" in command for _, command in found.values()), f"{name} has no client")
    HOST.kill()
    for found in before.values():
        for pid, (started, command) in found.items():
            expect(HOST.start_time(pid) == started, f"process {pid} ({command}) went with the daemon")
    HOST.start()
    for name, found in before.items():
        wait_for(f"{name} to be running", lambda n=name: HOST.node(n)["status"] == "running")
        after = HOST.processes(name)
        kept = {pid: v for pid, v in found.items() if "babel" in v[1] or "litecoind" in v[1]}
        expect(all(after.get(pid) == v for pid, v in kept.items()), f"{name}: {kept} became {after}")
    expect(HOST.run("ltc-1", "height") == "101", "the chain is not what it was")


def stops_and_starts_again():
    HOST.bv("node", "stop", "ltc-1")
    expect(HOST.node("ltc-1")["status"] == "stopped", "the node is not stopped")
    HOST.bv("node", "start", "ltc-1")
    wait_for("litecoind", lambda: HOST.bv("node", "run", "height", "ltc-1", check=False).code == 0)
    expect(HOST.run("ltc-1", "height") == "101", "blocks were lost by a stop")


def deletes_without_a_trace():
    ids = [HOST.node(name)["id"] for name in ("ltc-1", "ltc-2")]
    for name in ("ltc-1", "ltc-2"):
        HOST.bv("node", "rm", "-y", name)
    expect(not HOST.bv("node", "ls").json["nodes"], "nodes are left")
    expect(not HOST.mounts(), f"mounts are left: {HOST.mounts()}")
    expect(not list((HOST.root / "var/lib/blockvisor/nodes").glob("*-*")), "directories are left")
    groups = [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if any(i in folder for i in ids)]
    expect(not groups, f"cgroups are left: {groups}")
    HOST.stop()


if __name__ == "__main__":
    with HOST:
        sys.exit(blockvisor.main([imports_the_image, runs_a_node, mines_through_the_plugin, uploads_a_snapshot,
                                  downloads_it_byte_for_byte, restores_into_a_second_node,
                                  nodes_outlive_a_killed_daemon, stops_and_starts_again, deletes_without_a_trace]))
