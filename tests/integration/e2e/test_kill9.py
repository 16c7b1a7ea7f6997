#!/usr/bin/env python3
"""SIGKILL at many points of create, start, upload, download and stop, to the daemon, the agent, the runner and the transfer.

After each kill the next start must recover with no manual step: no node lost, none half made, no second copy of a job, and
the node ends as it was last asked to be.
"""
import contextlib
import os
import signal
import sys
import time

import blockvisor
from blockvisor import expect, wait_for

BUILD, SOURCE = sys.argv[1], sys.argv[2]
IMAGE = "tiny"
HOST = blockvisor.Host(BUILD, SOURCE)
POINTS = int(os.environ.get("BV_KILL_POINTS", "8"))


def payloads(node):
    """Pids of the chain's shell loop, not of the subshells it makes all the time: exactly one must run."""
    found = HOST.processes(node)
    shells = {pid for pid, (_, command) in found.items() if "sh -c" in command and "trap" in command}
    return [pid for pid in shells if HOST.parent(pid) not in shells]


def runs_once(node):
    def check():
        shown = HOST.node(node)
        expect(shown["status"] == "running", f"{node} is {shown['status']}: {shown['problem']}")
        found = payloads(node)
        expect(len(found) == 1, f"{node} has {len(found)} copies of its chain")
        return True

    wait_for(f"{node} with one chain", check)


def grows(node):
    before = int(HOST.run(node, "height"))
    wait_for(f"{node} to make blocks", lambda: int(HOST.run(node, "height")) > before)


def delays(longest):
    return [longest * i / POINTS for i in range(POINTS)]


def prepares():
    global IMAGE
    HOST.start()
    IMAGE = HOST.bv("image", "import", HOST.build_image("tiny")).json["name"]
    # One run to know how long things take, so that the points spread over them.
    for what, args in (("create", ("node", "create", IMAGE, "--name", "probe")), ("start", ("node", "start", "probe")),
                       ("stop", ("node", "stop", "probe"))):
        begun = time.monotonic()
        HOST.bv(*args)
        DURATION[what] = max(time.monotonic() - begun, 0.02)
    HOST.bv("node", "rm", "-y", "probe")


DURATION = {}


def daemon_killed_during_create():
    for i, delay in enumerate(delays(DURATION["create"])):
        name = f"c{i}"
        call = HOST.bv_start("node", "create", IMAGE, "--name", name)
        time.sleep(delay)
        HOST.kill()
        answered = call.wait() == 0
        HOST.start()
        # Undoing an interrupted creation is work of its own.
        wait_for("quiet", lambda: all(n["status"] != "busy" for n in HOST.bv("node", "ls").json["nodes"]))
        names = [n["name"] for n in HOST.bv("node", "ls").json["nodes"]]
        expect(name in names or not answered, f"node {name} was acknowledged and is lost")
        if name in names:
            HOST.bv("node", "rm", "-y", name)
        HOST.bv("node", "create", IMAGE, "--name", name)
        HOST.bv("node", "rm", "-y", name)
    expect(not list((HOST.root / "var/lib/blockvisor/nodes").glob("*-*")), "half-made nodes are left")


def daemon_killed_during_start():
    for i, delay in enumerate(delays(DURATION["start"])):
        name = f"s{i}"
        HOST.bv("node", "create", IMAGE, "--name", name)
        call = HOST.bv_start("node", "start", name)
        time.sleep(delay)
        HOST.kill()
        asked = call.wait() == 0
        HOST.start()
        wait_for("quiet", lambda n=name: HOST.node(n)["status"] != "busy")
        if HOST.node(name)["expected_status"] != "Running":
            expect(not asked, f"the start of {name} was acknowledged and is lost")
            HOST.bv("node", "start", name)
        runs_once(name)
        HOST.bv("node", "rm", "-y", name)


def daemon_killed_during_stop():
    HOST.bv("node", "create", IMAGE, "--name", "st")
    for delay in delays(DURATION["stop"]):
        HOST.bv("node", "start", "st")
        runs_once("st")
        call = HOST.bv_start("node", "stop", "st")
        time.sleep(delay)
        HOST.kill()
        call.wait()
        HOST.start()
        wait_for("quiet", lambda: HOST.node("st")["status"] != "busy")
        expected = HOST.node("st")["expected_status"]
        if expected == "Stopped":
            wait_for("st to be stopped", lambda: HOST.node("st")["status"] == "stopped")
        else:
            runs_once("st")
            HOST.bv("node", "stop", "st")
    HOST.bv("node", "rm", "-y", "st")


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_inside(node, part):
    """All processes of a node with this in their command line; "bin/babel" is the first process and the agent."""
    for pid in HOST.pids(node, part):
        kill(pid)


def agent_killed():
    """The chain's process stays the same one; the agent comes back and knows it."""
    HOST.bv("node", "create", IMAGE, "--name", "ag")
    HOST.bv("node", "start", "ag")
    runs_once("ag")
    chain = payloads("ag")
    for delay in delays(0.4):
        time.sleep(delay)
        for pid, (_, command) in HOST.processes("ag").items():
            if "bin/babel " in command + " " and "init" not in command:
                kill(pid)
        wait_for("the agent", lambda: HOST.bv("job", "ls", "ag", check=False).code == 0)
        runs_once("ag")
        expect(payloads("ag") == chain, "the chain was restarted with the agent")
    grows("ag")


def runner_killed():
    for delay in delays(0.4):
        time.sleep(delay)
        kill_inside("ag", "babel_job_runner")
        runs_once("ag")
    grows("ag")


def agent_and_daemon_killed_together():
    for delay in delays(0.3):
        kill_inside("ag", "bin/babel")
        time.sleep(delay)
        HOST.kill()
        HOST.start()
        runs_once("ag")
    grows("ag")


def fill(node, megabytes):
    data = HOST.node_dir(node) / "data/protocol_data/bulk"
    data.mkdir(parents=True, exist_ok=True)
    for i in range(megabytes // 8):
        (data / f"{i:03}").write_bytes(os.urandom(8 << 20))


def versions():
    return [s["version"] for s in HOST.bv("snapshot", "ls").json["snapshots"]]


def transfer_killed_during_upload():
    """Each kill only delays the upload; the version becomes complete or is not seen at all."""
    fill("ag", 128)
    for i, delay in enumerate(delays(0.8)):
        HOST.bv("node", "run", "upload", "ag")
        time.sleep(delay)
        kill_inside("ag", "babel_transfer")
        if i % 2:
            HOST.kill()
            HOST.start()
        wait_for("the upload", lambda: "finished" in HOST.job("ag", "upload")["status"])
        status = HOST.job("ag", "upload")["status"]
        expect(status["finished"]["exit_code"] == 0, f"the upload ended with {status}")
        runs_once("ag")
    key = HOST.bv("snapshot", "ls").json["snapshots"][0]["key"]
    for version in versions():
        expect(HOST.bv("snapshot", "verify", key, "--version", version).json["ok"], f"version {version} is damaged")
    # One that is killed on its way out, after it published, is started again and makes another version.
    expect(POINTS <= len(versions()) <= 2 * POINTS, f"{POINTS} uploads gave versions {versions()}")


def transfer_killed_during_download():
    """A new node restores while its transfer, runner, agent and daemon are killed in turn."""
    parts = ["babel_transfer", "babel_job_runner", "bin/babel", None]
    for i, delay in enumerate(delays(0.6)):
        name = f"d{i}"
        HOST.bv("node", "create", IMAGE, "--name", name)
        call = HOST.bv_start("node", "start", name)
        time.sleep(0.2 + delay)
        part = parts[i % len(parts)]
        if part:
            kill_inside(name, part)
        else:
            HOST.kill()
            HOST.start()
        call.wait()
        wait_for("quiet", lambda n=name: HOST.node(n)["status"] != "busy")
        if HOST.node(name)["expected_status"] != "Running":
            HOST.bv("node", "start", name)
        runs_once(name)
        source = blockvisor.tree_digests(HOST.node_dir("ag") / "data/protocol_data/bulk")
        restored = blockvisor.tree_digests(HOST.node_dir(name) / "data/protocol_data/bulk")
        expect(restored == source, f"{name}: {len(restored)} files of {len(source)} were restored, or they differ")
        HOST.bv("node", "rm", "-y", name)
    HOST.bv("node", "rm", "-y", "ag")
    expect(not HOST.mounts(), f"mounts are left: {HOST.mounts()}")


if __name__ == "__main__":
    with HOST:
        sys.exit(blockvisor.main([prepares, daemon_killed_during_create, daemon_killed_during_start,
                                  daemon_killed_during_stop, agent_killed, runner_killed,
                                  agent_and_daemon_killed_together, transfer_killed_during_upload,
                                  transfer_killed_during_download]))
