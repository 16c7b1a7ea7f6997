"""tools/bench host: nodes and their jobs beside the bare runtime and runit."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from bench_common import SOURCE, row, timed
import blockvisor

JOBS = 8  # of one program share its pages, as on a host with nodes
PLUGIN = """
fn service(name) {#{ name: name, run_sh: `exec sleep 100000`, shutdown_timeout_secs: 2,
    restart_config: #{ backoff_timeout_ms: 0, backoff_base_ms: 0 } }}
fn plugin_config() {
    let list = [];
    for i in 0..COUNT { list.push(service("idle" + i)); }
    #{ services: list }
}
fn protocol_status() { #{ state: "broadcasting", health: "healthy" } }
"""


def bare_runtime():
    return next(path for path in map(shutil.which, ("crun", "runc")) if path)


def hybrid():
    return os.path.isdir("/sys/fs/cgroup/unified")


def bare_run(runtime, bundle, number):
    """The runtime's own `run` of the same root, from its start to the end of /bin/true."""
    command = [runtime, "run", "--bundle", str(bundle), f"bench-{number}"]
    if runtime.endswith("crun") and hybrid():
        command = ["unshare", "-m", "sh", "-c",
                   "mount -t tmpfs none /sys/fs/cgroup/unified; exec \"$@\"", "sh", *command]
    return timed(command)


def make_bundle(host, image_root):
    bundle = host.root / "bundle"
    bundle.mkdir()
    subprocess.run([bare_runtime(), "spec", "--bundle", bundle] if "runc" in bare_runtime() else [bare_runtime(), "spec"],
                   cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["root"] = {"path": str(image_root), "readonly": True}
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/true"]
    config["process"].pop("rlimits", None)
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def bench_start(host, image, rounds):
    bundle = make_bundle(host, host.root / "var/lib/blockvisor/images" / image / "root")
    over = []
    for number in range(rounds):
        host.bv("node", "stop", "one")
        ours = timed([host.build / "cli/bv", "-q", "-H", f"unix:{host.socket}", "node", "start", "one"])
        bare = bare_run(bare_runtime(), bundle, number)
        over.append((ours - bare) * 1000)
    row("node start to agent ready, over the bare runtime", over, "ms", 40, "lower",
        f"{os.path.basename(bare_runtime())} run of the same root")


def private_kib(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def child_of(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(text[0]) if text else None


def respawn_ms(parent):
    """SIGKILL of the child, until the supervisor has another one that has become the payload."""
    old = child_of(parent)
    begun = time.perf_counter()
    os.kill(old, signal.SIGKILL)
    while True:
        new = child_of(parent)
        try:
            if new and new != old and b"sleep" in pathlib.Path(f"/proc/{new}/cmdline").read_bytes():
                return (time.perf_counter() - begun) * 1000
        except OSError:
            pass


@contextlib.contextmanager
def runsv():
    with tempfile.TemporaryDirectory(prefix="bv-runit-", dir="/tmp") as top:
        service = pathlib.Path(top) / "idle"
        service.mkdir()
        run = service / "run"
        run.write_text("#!/bin/sh\nexec sleep 100000\n")
        run.chmod(0o755)
        supervisor = subprocess.Popen(["runsv", service], stdin=subprocess.DEVNULL)
        try:
            blockvisor.wait_for("runsv", lambda: child_of(supervisor.pid))
            yield supervisor.pid
        finally:
            subprocess.run(["sv", "-w", "5", "exit", service], check=False, capture_output=True)
            supervisor.wait()


def bench_jobs(host, rounds):
    runners = host.pids("jobs", "babel_job_runner")
    runner = runners[0]
    with runsv() as peer, runsv():
        time.sleep(1.2)  # runsv restarts at once only what ran for a second
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(respawn_ms(runner))
            theirs.append(respawn_ms(peer))
            time.sleep(1.2)
        memory, peer_memory = [private_kib(pid) / 1024 for pid in runners], private_kib(peer) / 1024
    row(f"memory of an idle supervised job, of {JOBS}", memory, "MiB", 0.10, "lower", f"runsv: {peer_memory:.3f} MiB private")
    row("payload restarted after SIGKILL", ours, "ms", 3.5, "lower", f"runsv: {statistics.median(theirs):.2f} ms")


def bench_list(build, rounds):
    with tempfile.TemporaryDirectory(prefix="bv-", dir="/tmp") as top:
        path = pathlib.Path(top) / "s"
        daemon = subprocess.Popen([build / "daemon/blockvisord", "--uri", "fake:?nodes=100", "--socket", path],
                                  stderr=subprocess.DEVNULL)
        try:
            command = [build / "cli/bv", "-q", "-H", f"unix:{path}", "node", "ls"]
            blockvisor.wait_for("the daemon", lambda: subprocess.run(command, capture_output=True,
                                                                     check=False).returncode == 0)
            row("bv node ls, 100 nodes", [timed(command) * 1000 for _ in range(rounds * 4)], "ms", 10, "lower",
                "none: an absolute goal")
        finally:
            daemon.terminate()
            daemon.wait()


def make_node(host, name, jobs):
    """A node whose plugin starts so many idle jobs, from an image of its own."""
    image = host.root / "images" / name
    shutil.copytree(host.build_image("tiny"), image, symlinks=True)
    (image / "var/lib/babel/plugin/main.rhai").write_text(PLUGIN.replace("COUNT", str(jobs)))
    made = host.bv("image", "import", image).json
    host.bv("node", "create", made["id"], "--name", name, "--store-key", "")
    host.bv("node", "start", name)
    blockvisor.wait_for("the jobs", lambda: len(host.pids(name, "babel_job_runner")) == jobs)
    return made["id"]


def run(build, quick, _):
    rounds = 3 if quick else 10
    with blockvisor.Host(build, SOURCE) as host:
        host.start()
        make_node(host, "jobs", JOBS)
        bench_jobs(host, rounds)
        host.bv("node", "stop", "jobs")
        bench_start(host, make_node(host, "one", 1), rounds)
    bench_list(build, rounds)
