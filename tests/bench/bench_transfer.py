"""tools/bench transfer: both formats beside what operators use, with the same data, server and disk."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from bench_common import answer, measured, row, timed
import movers

WORKERS = 4
DOWNLOAD = {"workers": WORKERS, "connections": WORKERS, "runners": WORKERS}
GOALS = {"snapshot": {"upload": 1.6, "download": 2.5, "aria2": 5}, "archive": {"upload": 1.6, "download": 2.5, "aria2": 5}}


def upload(form, url, tree, **settings):
    """Archives of our sizes would have one chunk, and nothing to do at the same time."""
    more = {"chunks": 9} if form.name == "archive" else {}
    return form.command("upload", url, "key", tree, **DOWNLOAD, **{**more, **settings})


class Bench:
    def __init__(self, build, quick, size, top):
        self.build, self.quick, self.top = build, quick, top
        self.size = size or (192 if quick else 4096)  # MiB
        self.rounds = 2 if quick else 3
        self.forms = movers.forms(build)
        self.data = build / "tests/bench/bench-data"
        self.away = 0

    def generate(self, *args):
        return answer([self.data, *map(str, args)])

    def put_away(self, path):
        """Out of the way and without its data, but not removed before the end: for minutes after many files were removed
        ext4 looks at each of their inodes whenever it makes a file, so that who comes later pays for who came before."""
        if not os.path.lexists(path):
            return
        self.away += 1
        place = self.top / f"away-{self.away}"
        os.rename(path, place)
        if place.is_file():
            os.truncate(place, 0)
        for folder, _, names in os.walk(place):
            for name in names:
                file = os.path.join(folder, name)
                if os.lstat(file).st_size > 1 << 16 and not os.path.islink(file):
                    os.truncate(file, 0)

    def turn(self, *paths):
        """The disk is quiet and has room before each side's turn."""
        for path in paths:
            self.put_away(path)
        subprocess.run(["sync", "-f", self.top], check=True)

    @contextlib.contextmanager
    def place(self, name):
        path = self.top / name
        path.mkdir()
        try:
            yield path
        finally:
            self.put_away(path)

    def tree(self, at):
        """7/16 LSM tables, 6/16 pages, 2/16 noise, the rest 20 000 small files (fewer when the whole is small)."""
        (at / "db").mkdir(parents=True)
        (at / "state").mkdir()
        self.generate("sst", at / "db", self.size * 7 // 16, 1)
        self.generate("pages", at / "state/mdbx.dat", self.size * 6 // 16, 2)
        self.generate("noise", at / "blobs", self.size * 2 // 16, 3)
        self.generate("small", at / "state", min(20000, self.size * 4), 4)
        os.sync()
        return at


def shell(text):
    return ["bash", "-c", "set -o pipefail; " + text]


def stored_bytes(folder):
    return sum(f.stat().st_size for f in pathlib.Path(folder).rglob("*") if f.is_file())


def same(tree, out):
    if movers.digests(tree) != movers.digests(out):
        raise RuntimeError(f"{out} is not what {tree} was")


# ---- the whole data set, there and back ----

def up_and_down(b):
    with b.place("move") as top:
        tree = b.tree(top / "tree")
        tarball = top / "web/www/tree.tar.zst"
        with movers.Server(top / "web") as server:
            times = {"peer": [], "zstd": [], "aria2": []}
            ours = {form.name: {"up": [], "down": [], "up_rss": [], "down_rss": [], "bytes": []} for form in b.forms}
            for _ in range(b.rounds):
                b.turn(tarball)
                times["peer"].append(timed(shell(f"tar -C {tree} -cf - . | zstd -q -3 -T2 | curl -sf -T - {server.url}/tree.tar.zst")))
                for form in b.forms:
                    b.turn(top / "web/www/store", f"{tree}.transfer")
                    seconds, rss = measured(upload(form, f"{server.url}/store", tree))
                    ours[form.name]["up"].append(seconds)
                    ours[form.name]["up_rss"].append(rss)
                    ours[form.name]["bytes"].append(stored_bytes(top / "web/www/store"))
                    b.turn(top / "out", top / "out.transfer")
                    seconds, rss = measured(form.command("download", f"{server.url}/store", "key", top / "out", **DOWNLOAD))
                    ours[form.name]["down"].append(seconds)
                    ours[form.name]["down_rss"].append(rss)
                    if form.name == "snapshot" or len(times["peer"]) == 1:
                        same(tree, top / "out")
                b.turn(top / "out", top / "out.transfer")
                (top / "out").mkdir()
                times["zstd"].append(timed(shell(f"curl -sf {server.url}/tree.tar.zst | zstd -q -d | tar -C {top}/out -xf - "
                                                 f"&& sync -f {top}/out")))
                b.turn(top / "out")
                (top / "out").mkdir()
                times["aria2"].append(timed(shell(
                    f"aria2c -q -x16 -s16 -k1M --file-allocation=none -d {top}/out -o t.tar.zst {server.url}/tree.tar.zst && "
                    f"zstd -q -d < {top}/out/t.tar.zst | tar -C {top}/out -xf - && rm {top}/out/t.tar.zst && sync -f {top}/out")))
            peer_bytes = tarball.stat().st_size
    for form in b.forms:
        mine, goals = ours[form.name], GOALS[form.name]
        what = f"{form.name}, {b.size} MiB"
        row(f"download+verify+unpack, {what}: peer's time / ours", ratios(times["zstd"], mine["down"]), "x", goals["download"],
            "higher", f"curl | zstd -d | tar x, synced: {middle(times['zstd']):.2f} s")
        row(f"download+verify+unpack, {what}: peer's time / ours", ratios(times["aria2"], mine["down"]), "x", goals["aria2"],
            "higher", f"aria2c -x16, then zstd -d | tar x, synced: {middle(times['aria2']):.2f} s")
        row(f"download, {form.name}: rate of plain data", [b.size / s for s in mine["down"]], "MiB/s", None, "higher", "none")
        row(f"download, {form.name}: peak memory at {WORKERS} workers", mine["down_rss"], "MiB", 32, "lower", "none: an absolute goal")
        row(f"first upload, {what}: peer's time / ours", ratios(times["peer"], mine["up"]), "x", goals["upload"], "higher",
            f"tar | zstd -3 -T2 | curl -T -: {middle(times['peer']):.2f} s")
        row(f"first upload, {form.name}: peer's stored bytes / ours", [peer_bytes / n for n in mine["bytes"]], "x", 1.0, "higher",
            f"the same: {peer_bytes >> 20} MiB")
        row(f"upload, {form.name}: peak memory at {WORKERS} workers", mine["up_rss"], "MiB", 64 + 8 * WORKERS, "lower",
            "none: an absolute goal")


def middle(values):
    return sorted(values)[len(values) // 2]


def ratios(theirs, ours):
    return [t / o for t, o in zip(theirs, ours)]


# ---- large chunks: the archives' own ----

def large_chunks(b):
    """One chunk of 500 MB, as upstream's uploads make them."""
    with b.place("large") as top:
        (top / "tree").mkdir()
        b.generate("noise", top / "tree/blob", 480 if not b.quick else 200, 9)
        form = movers.Form(b.build, "archive")
        with movers.Server(top / "web") as server:
            measured(upload(form, f"{server.url}/store", top / "tree", chunks=1))
            rss = []
            for _ in range(b.rounds):
                b.turn(top / "out", top / "out.transfer")
                rss.append(measured(form.command("download", f"{server.url}/store", "key", top / "out", **DOWNLOAD))[1])
    row("download, archive of one chunk of 500 MB: peak memory", rss, "MiB", 32, "lower", "none: an absolute goal")


# ---- the next version ----

def changed_blocks(old, new, grid):
    """Bytes of blocks of `grid` that differ."""
    changed = 0
    with open(old, "rb") as a, open(new, "rb") as c:
        while piece := c.read(grid):
            if piece != a.read(grid):
                changed += len(piece)
    return changed


class Case:
    """A data set and how it changes by 1 %."""

    def __init__(self, b, name, top):
        self.b, self.name = b, name
        self.tree = top / "tree"
        self.tree.mkdir()
        self.size = max(b.size // 4, 64)

    def make(self):
        if self.name == "LSM-like":
            self.b.generate("sst", self.tree, self.size, 21)
        else:
            self.b.generate("pages", self.tree / "mdbx.dat", self.size, 22)

    def change(self, number):
        """Returns the plain bytes that have to be sent, in the smallest pieces that are shared."""
        if self.name == "LSM-like":
            return int(self.b.generate("compact", self.tree, 1, 30 + number))
        before = self.tree.with_name("before")
        shutil.copyfile(self.tree / "mdbx.dat", before)
        self.b.generate("edit", self.tree / "mdbx.dat", 1, 40 + number)
        changed = changed_blocks(before, self.tree / "mdbx.dat", 64 << 10)
        before.unlink()
        return changed


def traffic(server):
    sent = fetched = 0
    for r in server.requests():
        sent += r["asked"] if r["method"] == "PUT" else 0
        fetched += r["answered"] if r["method"] == "GET" else 0
    server.log.unlink()
    return sent, fetched


def next_version(b, name):
    form = next((f for f in b.forms if f.name == "snapshot"), None)
    if not form:
        return
    restic_env = {**os.environ, "RESTIC_PASSWORD": "bench"}
    with b.place("next") as top:
        env = {**restic_env, "RESTIC_CACHE_DIR": str(top / "cache")}
        restic = ["restic", "-q", "-r", top / "repo"]
        case = Case(b, name, top)
        case.make()
        os.sync()

        def ours(verb, directory):
            with movers.Server(top / "web", log=True) as server:
                seconds, _ = measured(form.command(verb, f"{server.url}/store", "key", directory, **DOWNLOAD))
                return seconds, *traffic(server)

        def casync():
            # Its smallest chunks are those of our grid, or it would be compared with another question.
            before = stored_bytes(top / "castr")
            seconds = timed(["casync", "make", "--without=all", "--store", top / "castr", top / "tree.caidx", case.tree])
            return seconds, stored_bytes(top / "castr") - before

        (top / "castr").mkdir()
        timed([*restic, "init"], env=env)
        timed([*restic, "backup", case.tree], env=env)
        casync()
        _, first_sent, _ = ours("upload", case.tree)
        ours("download", top / "out")
        plain = stored_bytes(case.tree)
        times = {"ours": [], "restic": [], "casync": [], "same": [], "restic same": []}
        shares = {"sent": [], "fetched": [], "restic": [], "casync": []}
        for number in range(b.rounds):
            changed = case.change(number) * first_sent / plain  # as stored
            b.turn()
            seconds, sent, _ = ours("upload", case.tree)
            times["ours"].append(seconds)
            shares["sent"].append(sent / changed)
            before = stored_bytes(top / "repo")
            b.turn()
            times["restic"].append(timed([*restic, "backup", case.tree], env=env))
            shares["restic"].append((stored_bytes(top / "repo") - before) / changed)
            b.turn()
            seconds, more = casync()
            times["casync"].append(seconds)
            shares["casync"].append(more / changed)
            b.turn()
            _, _, fetched = ours("download", top / "out")
            shares["fetched"].append(fetched / changed)
            b.turn()
            times["same"].append(ours("upload", case.tree)[0])
            b.turn()
            times["restic same"].append(timed([*restic, "backup", case.tree], env=env))
    size = f"{name}, {case.size} MiB, 1 % changed"
    row(f"next version, {size}: sent / changed chunks", shares["sent"], "x", 1.3, "lower",
        f"restic adds {middle(shares['restic']):.2f}, casync {middle(shares['casync']):.2f}")
    row(f"next version, {size}: fetched / changed chunks", shares["fetched"], "x", 1.3, "lower",
        "restic restores all of it")
    row(f"next version, {size}: our time / restic's", ratios(times["ours"], times["restic"]), "x", 1.0, "lower",
        f"restic backup {middle(times['restic']):.2f} s, casync make {middle(times['casync']):.2f} s")
    row(f"unchanged, {name}, {case.size} MiB: our time / restic's", ratios(times["same"], times["restic same"]), "x", 1.0, "lower",
        f"restic backup {middle(times['restic same']):.2f} s")


# ---- many files ----

def many_files(b):
    count = 50000 if b.quick else 1000000
    sample = 5000 if b.quick else 20000  # for the peer that takes minutes
    with b.place("many") as top:
        (top / "tree").mkdir()
        b.generate("tiny", top / "tree", count, 5)
        with movers.Server(top / "web", more="autoindex on;") as server:
            (top / "web/www/files").mkdir()
            for folder in sorted((top / "tree").iterdir())[:sample // 1000]:
                shutil.copytree(folder, top / "web/www/files" / folder.name)
            subprocess.run(["chmod", "-R", "a+rX", top / "web/www"], check=True)
            subprocess.run(shell(f"tar -C {top}/tree -cf - . | zstd -q -3 -T2 > {top}/web/www/t.zst"), check=True)
            rates = {"tar": [], "rclone": []}
            mine = {form.name: {"up": [], "down": [], "rss": []} for form in b.forms}
            for _ in range(1):  # so many are a sample by themselves
                b.turn(top / "out")
                (top / "out").mkdir()
                rates["tar"].append(count / timed(shell(f"curl -sf {server.url}/t.zst | zstd -q -d | tar -C {top}/out -xf - "
                                                        f"&& sync -f {top}/out")))
                b.turn(top / "out")
                rates["rclone"].append(sample / timed(
                    ["rclone", "copy", "-q", "--transfers", "16", "--config", "/dev/null", f":http,url='{server.url}/files':",
                     top / "out"]))
                for form in b.forms:
                    b.turn(top / "web/www/store", top / "tree.transfer")
                    mine[form.name]["up"].append(count / measured(upload(form, f"{server.url}/store", top / "tree"))[0])
                    b.turn(top / "out", top / "out.transfer")
                    seconds, rss = measured(form.command("download", f"{server.url}/store", "key", top / "out", **DOWNLOAD))
                    mine[form.name]["down"].append(count / seconds)
                    mine[form.name]["rss"].append(rss)
    for form in b.forms:
        row(f"{count} files of 4 KB, {form.name}: written", mine[form.name]["down"], "files/s", 30000, "higher",
            f"tar x {middle(rates['tar']):.0f}, rclone {middle(rates['rclone']):.0f} (of {sample})")
        row(f"{count} files of 4 KB, {form.name}: read and sent", mine[form.name]["up"], "files/s", None, "higher", "none")
        row(f"{count} files of 4 KB, {form.name}: peak memory", mine[form.name]["rss"], "MiB", None, "lower", "none")


# ---- a long link ----

@contextlib.contextmanager
def long_link(b, url, window=1 << 20):
    port = movers.free_port()
    proxy = subprocess.Popen([b.build / "tests/bench/bench-proxy", str(port), url.rsplit(":", 1)[1], "50", str(window)],
                             stdout=subprocess.PIPE)
    try:
        if proxy.stdout.readline() != b"ready\n":
            raise RuntimeError("bench-proxy does not run")
        yield f"http://127.0.0.1:{port}"
    finally:
        proxy.kill()
        proxy.wait()
        proxy.stdout.close()


def scaling(b):
    size = 48 if b.quick else 512
    steps = ((1, 2), (4, 2), (16, 2)) if b.quick else ((1, 2), (2, 2), (4, 2), (8, 2), (16, 2), (16, 1), (16, 4))
    with b.place("link") as top:
        (top / "tree").mkdir()
        b.generate("sst", top / "tree", size, 6)
        with movers.Server(top / "web") as server:
            for form in b.forms:
                measured(upload(form, f"{server.url}/{form.name}", top / "tree",
                                **({"chunks": 32} if form.name == "archive" else {})))
            subprocess.run(shell(f"tar -C {top}/tree -cf - . | zstd -q -3 -T2 > {top}/web/www/t.zst"), check=True)
            with long_link(b, server.url) as far:
                b.turn()
                peer = size / timed(shell(f"mkdir {top}/peer && curl -sf {far}/t.zst | zstd -q -d | tar -C {top}/peer -xf - "
                                          f"&& sync -f {top}/peer"))
                b.turn(top / "peer")
                for connections, workers in steps:
                    for form in b.forms:
                        rates = []
                        for _ in range(1 if b.quick else b.rounds):
                            b.turn(top / "out", top / "out.transfer")
                            rates.append(size / measured(form.command(
                                "download", f"{far}/{form.name}", "key", top / "out", workers=workers, connections=connections,
                                runners=connections, memory=256))[0])
                        row(f"50 ms link, {form.name}: {connections} connections, {workers} workers", rates, "MiB/s", None, "higher",
                            f"curl, one connection: {peer:.0f} MiB/s")


# ---- a manifest of 10 TB ----

@contextlib.contextmanager
def roomy(top, gib):
    """A file system with so much room that takes next to none."""
    image, place = top / "image", top / "mounted"
    place.mkdir()
    with open(image, "wb") as f:
        f.truncate(gib << 30)
    subprocess.run(["mkfs.xfs", "-q", "-K", image], check=True)
    subprocess.run(["mount", "-o", "loop,noatime", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def first_data(server, pages, since):
    """When the first request for data came, of those begun later."""
    for r in server.seen():
        if r["method"] == "GET" and "/packs/" in r["path"] and r["begun"] > since and r["status"] < 300 \
                and r["path"].rsplit("/", 1)[1] not in pages:
            return r["begun"]
    return None


def run_until(process, check, patience=300):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := check():
            return found
        if process.poll() is not None:
            raise RuntimeError(f"it ended by itself: {process.stderr.read().decode()}")
        time.sleep(0.005)
    raise RuntimeError("nothing came")


def peak_mib(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"it ended by itself: {process.stderr.read().decode()}")


def huge_manifest(b):
    form = next((f for f in b.forms if f.name == "snapshot"), None)
    if not form:
        return
    files = 1024 if b.quick else 10240  # of 1 GiB
    with b.place("huge") as top, movers.Server(top / "web", log=True) as server, roomy(top, files + 256) as place:
        chunks = int(answer([b.build / "tests/bench/bench-manifest", top / "web/www/store", str(files), "1024"]))
        subprocess.run(["chmod", "-R", "a+rX", top / "web/www"], check=True)
        root = json.loads((top / "web/www/store/huge/1/snapshot.json").read_text())
        pages = {page["pack"] for page in root["pages"]}
        command = form.command("download", f"{server.url}/store", "huge", place / "out", rate=100 << 20, **DOWNLOAD)

        def begin():
            begun = time.time()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                return run_until(process, lambda: first_data(server, pages, begun)) - begun, process
            except BaseException:
                process.kill()
                raise

        fresh, process = begin()
        time.sleep(0.7)  # something becomes durable
        again, peaks = [], []
        for _ in range(b.rounds):
            process.kill()
            process.communicate()
            b.turn()
            seconds, process = begin()
            again.append(seconds)
            peaks.append(peak_mib(process))
        process.kill()
        process.communicate()
    what = f"{files // 1024} TiB, {chunks} chunks of 1 MiB"
    row(f"resume of {what}: until data is asked for", again, "s", round(1 + chunks * 1e-6, 2), "lower",
        f"1 s + 1 us a chunk; a fresh start took {fresh:.2f} s")
    row(f"resume of {what}: peak memory", peaks, "MiB", 32, "lower", "none: an absolute goal")


# ---- main ----

PARTS = {
    "move": up_and_down,
    "chunks": large_chunks,
    "lsm": lambda b: next_version(b, "LSM-like"),
    "pages": lambda b: next_version(b, "mdbx-like"),
    "files": many_files,
    "manifest": huge_manifest,
    "link": scaling,
}


def run(build, quick, args):
    with movers.scratch("bv-bench-") as top:
        b = Bench(build, quick, args.size, top)
        for name in args.only or PARTS:
            begun = time.monotonic()
            PARTS[name](b)
            print(f"# {name}: {time.monotonic() - begun:.1f} s", file=sys.stderr)
