"""A daemon of the build under test on a root directory of its own, and what the end-to-end tests do with it.

Everything is real: an OCI runtime, the agent bundle, the example images. Each test program makes one Host and uses it as a
context manager; leaving it removes nodes, mounts, cgroups and files, also after a failure.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TIMEOUT = float(os.environ.get("BV_TEST_TIMEOUT", "60"))


class Failed(Exception):
    """An expectation that was not met."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def wait_for(what, check, timeout=TIMEOUT):
    """Calls check until it returns something true; that is the result."""
    end = time.monotonic() + timeout
    last = None
    while time.monotonic() < end:
        try:
            result = check()
            if result:
                return result
        except (Failed, subprocess.TimeoutExpired) as e:
            last = e
        time.sleep(0.05)
    raise Failed(f"{what}: not within {timeout:.0f} s" + (f" ({last})" if last else ""))


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


class Host:
    def __init__(self, build, source, driver_args=()):
        self.build = pathlib.Path(build)
        self.source = pathlib.Path(source)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bv-", dir="/tmp"))
        self.socket = self.root / "run/blockvisor/blockvisord.sock"
        self.log = self.root / "blockvisord.log"
        self.args = list(driver_args)
        self.daemon = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if value is not None and self.log.exists():
            lines = self.log.read_text(errors="replace").splitlines()[-60:]
            print("\n".join("# daemon: " + line for line in lines), file=sys.stderr)
        self.clean()
        return False

    # ---- daemon ----

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(
                [self.build / "daemon/blockvisord", "--root", self.root, "--agent-dir", self.build / "agent-bundle",
                 "--log-level", "debug", *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if wait:
            wait_for("the daemon", lambda: self.bv("host", "info", check=False).code == 0)

    def kill(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()

    def stop(self):
        self.daemon.terminate()
        code = self.daemon.wait(timeout=TIMEOUT)
        expect(code == 0, f"the daemon ended with {code}; see its log")

    def restart(self):
        if self.daemon.poll() is None:
            self.kill()
        self.start()

    # ---- bv ----

    def bv(self, *args, check=True, timeout=TIMEOUT):
        env = dict(os.environ, BV_HOST=f"unix:{self.socket}", NO_COLOR="1")
        result = Result(subprocess.run([self.build / "cli/bv", "-q", "-o", "json", *map(str, args)], env=env, text=True,
                                       capture_output=True, timeout=timeout))
        if check and result.code != 0:
            raise Failed(f"bv {' '.join(map(str, args))}: exit code {result.code}: {result.err.strip()}")
        return result

    def bv_start(self, *args):
        """The same, in the background."""
        env = dict(os.environ, BV_HOST=f"unix:{self.socket}", NO_COLOR="1")
        return subprocess.Popen([self.build / "cli/bv", "-q", "-o", "json", *map(str, args)], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def node(self, name):
        return self.bv("node", "show", name).json

    def node_dir(self, name):
        return self.root / "var/lib/blockvisor/nodes" / self.node(name)["id"]

    def run(self, node, method, param=None):
        return self.bv("node", "run", method, node, *(["--param", param] if param else [])).json["result"]

    def job(self, node, job):
        return self.bv("job", "show", node, job).json

    def build_image(self, name):
        out = self.root / "images" / name
        done = subprocess.run([self.source / "examples/images" / name / "build", out], capture_output=True, text=True,
                              check=False)
        expect(done.returncode == 0, f"image {name}: {done.stderr}")
        return out

    # ---- processes of a node, as the host sees them ----

    @staticmethod
    def start_time(pid):
        """None for a process that is gone, or only waits to be reaped."""
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return None if fields[0] == "Z" else fields[19]
        except OSError:
            return None

    @staticmethod
    def parent(pid):
        try:
            return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return None

    def processes(self, node):
        """{pid: (start time, command line)} of everything in the node's container."""
        container = self.node(node)["pid"]
        if not container:
            return {}
        space = os.readlink(f"/proc/{container}/ns/pid")
        found = {}
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == space:
                    command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if command:
                        found[int(entry)] = (self.start_time(entry), command.strip())
            except OSError:
                pass
        return found

    def pids(self, node, part):
        return sorted(pid for pid, (_, command) in self.processes(node).items() if part in command)

    # ---- cleaning ----

    def clean(self):
        try:
            if self.daemon and self.daemon.poll() is not None:
                self.start()
            if self.daemon:
                for node in self.bv("node", "ls").json["nodes"]:
                    self.bv("node", "rm", "-y", node["name"], check=False)
        except (Failed, subprocess.TimeoutExpired, OSError) as e:
            print(f"# cleaning: {e}", file=sys.stderr)
        if self.daemon and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        self.kill_containers()
        leftovers = self.mounts()
        for mount in reversed(leftovers):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def kill_containers(self):
        """Whatever a failed test left running."""
        for directory in (self.root / "var/lib/blockvisor/nodes").glob("*-*-*-*-*"):
            for group in pathlib.Path("/sys/fs/cgroup").glob(f"*/blockvisor/{directory.name}/cgroup.procs"):
                for pid in group.read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)

    def mounts(self):
        prefix = str(self.root) + "/"
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if line.split()[4].startswith(prefix)]


def tree_digests(top, skip=()):
    """{relative path: SHA-256} of every regular file below a directory."""
    digests = {}
    for folder, _, files in os.walk(top):
        for name in files:
            path = pathlib.Path(folder) / name
            relative = str(path.relative_to(top))
            if path.is_file() and not path.is_symlink() and not any(relative.startswith(s) for s in skip):
                digests[relative] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def main(tests):
    """Runs the tests in order as TAP; a test is a function without arguments."""
    if os.geteuid() != 0:
        print("1..0 # SKIP containers need root")
        print("SKIPPED: containers need root", file=sys.stderr)
        return 0
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except (Failed, subprocess.TimeoutExpired, OSError, KeyError, ValueError) as e:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            print(f"# {type(e).__name__}: {e}", flush=True)
    return 1 if failed else 0
