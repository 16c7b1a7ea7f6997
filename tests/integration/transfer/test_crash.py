#!/usr/bin/env python3
"""Transfers that are killed: at every 50th system call of small ones, and at random times of a larger one.

Each time the same command, given again, must end with exactly the data that was sent, and what was fetched twice must
stay within what the workers had in hand. BV_CRASH_STEP (50) and BV_CRASH_TIMES (200 for all of it) choose how much of it is run.

    test_crash.py BUILD-DIRECTORY
"""
import os
import random
import shutil
import subprocess
import sys
import time
import traceback

import movers

BUILD = os.path.abspath(sys.argv[1])
KILL_AT = os.path.join(BUILD, "tests/integration/transfer/kill_at")
STEP = int(os.environ.get("BV_CRASH_STEP", "50"))
TIMES = int(os.environ.get("BV_CRASH_TIMES", "10"))
PATIENCE_S = 120
WORKERS = 3
REFETCH_MAX = WORKERS << 23  # bytes each kill may cost
MANIFEST_MAX = 64 << 10  # is read anew by each run
# The leak checker cannot look at a program that is being traced.
TRACED = {**os.environ, "ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "detect_leaks=0"]))}
LIMIT_S = float(os.environ.get("BV_CRASH_SECONDS", "8"))  # of each matrix


class Skip(Exception):
    pass


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"


def run_killed_at(number, command):
    """Whether it was killed, and how many system calls it made."""
    done = subprocess.run([KILL_AT, str(number), *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=TRACED, timeout=PATIENCE_S, check=False)
    if done.returncode == 77:
        raise Skip("programs cannot be traced here")
    assert done.returncode in (0, 9), f"{command}: {done.stderr.decode()}"
    return done.returncode == 9, int(done.stdout.split()[-1])


def points(total):
    """Every STEP-th call; fewer, spread over all of it, when there would not be time for them."""
    yield from range(STEP, total + STEP, STEP)


def in_time(items):
    """All items; once the time is up every one that is left out is counted, and the last one still taken."""
    begun = time.monotonic()
    items = list(items)
    left_out = 0
    for place, item in enumerate(items):
        if time.monotonic() - begun > LIMIT_S * (place + 1) / len(items) and item is not items[-1]:
            left_out += 1
            continue
        yield item
    if left_out:
        print(f"# {left_out} of {len(items)} points left out for lack of time", flush=True)


def expect_same(tree, out, what):
    wanted, got = movers.digests(tree), movers.digests(out)
    assert wanted == got, f"{what}: what came back differs: {sorted(set(wanted.items()) ^ set(got.items()))[:3]}"


def clear(*paths):
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(f"{path}.transfer", ignore_errors=True)


def upload_killed(form, store_of):
    with movers.scratch() as top:
        tree = top / "tree"
        movers.make_small_tree(tree)
        with store_of(top) as (store, files):
            settings = {"chunks": 8} if form.name == "archive" else {}
            _, total = run_killed_at(0, form.command("upload", store, "key", tree, **settings))
            for number in in_time(points(total)):
                clear(files, tree.with_name("out"))
                shutil.rmtree(f"{tree}.transfer", ignore_errors=True)
                run_killed_at(number, form.command("upload", store, "key", tree, **settings))
                run(form.command("upload", store, "key", tree, **settings))
                run(form.command("download", store, "key", top / "out"))
                expect_same(tree, top / "out", f"upload killed at call {number}")


def download_killed(form, store_of):
    with movers.scratch() as top:
        tree, out = top / "tree", top / "out"
        movers.make_small_tree(tree)
        with store_of(top) as (store, _):
            settings = {"chunks": 8} if form.name == "archive" else {}
            run(form.command("upload", store, "key", tree, **settings))
            _, total = run_killed_at(0, form.command("download", store, "key", out))
            for number in in_time(points(total)):
                clear(out)
                run_killed_at(number, form.command("download", store, "key", out))
                run(form.command("download", store, "key", out))
                expect_same(tree, out, f"download killed at call {number}")


class DirStore:
    name = "dir"

    def __init__(self, top):
        self.files = top / "store"

    def __enter__(self):
        return f"dir:{self.files}", self.files

    def __exit__(self, kind, value, trace):
        pass


class WebStore:
    name = "http"

    def __init__(self, top):
        self.server = movers.Server(top / "web")

    def __enter__(self):
        return f"{self.server.url}/store", self.server.top / "www/store"

    def __exit__(self, kind, value, trace):
        self.server.stop()


def make_large_tree(tree):
    """Six files of 24 MiB, of which half does not compress: chunks larger than what may be fetched twice."""
    dice = random.Random(5)
    tree.mkdir()
    for number in range(6):
        with open(tree / f"f{number}", "wb") as out:
            for _ in range(24):
                out.write(dice.randbytes(1 << 19) + (b"block %d" % number * (1 << 17))[:1 << 19])


def run_killed_after(seconds, command):
    """Whether it was killed rather than done."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, errors = process.communicate(timeout=seconds)
        assert process.returncode == 0, errors.decode()
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True


def bytes_put(server):
    """So many were sent to it; stops it, and the next one begins a log of its own."""
    sent = sum(r["asked"] for r in server.requests() if r["method"] == "PUT")
    server.log.unlink()
    return sent


def stored_bytes(top):
    return sum(f.stat().st_size for f in (top / "web/www/store").rglob("*") if f.is_file())


def large_upload_killed(form):
    """Killed up to five times, then let through; what is in the store then is what was sent."""
    dice = random.Random(12)
    with movers.scratch() as top:
        tree, out, left = top / "tree", top / "out", TIMES
        make_large_tree(tree)
        settings = {"chunks": 3} if form.name == "archive" else {}
        while left > 0:
            clear(top / "web", out)
            shutil.rmtree(f"{tree}.transfer", ignore_errors=True)
            with movers.Server(top / "web", log=True) as server:
                command = form.command("upload", f"{server.url}/store", "key", tree, rate=80 << 20, connections=WORKERS,
                                       **settings)
                here = sum(run_killed_after(dice.uniform(0.05, 0.9), command) for _ in range(min(5, left)))
                run(command)
                run(form.command("download", f"{server.url}/store", "key", out))
                expect_same(tree, out, f"upload killed {here} times")
                sent = bytes_put(server)
            if form.name == "snapshot":
                stored = stored_bytes(top)
                allowed = here * REFETCH_MAX + (here + 1) * MANIFEST_MAX
                assert sent <= stored + allowed, f"{here} kills cost {sent - stored} bytes, at most {allowed} are allowed"
                # The next version of what did not change costs its pages, in a store that cannot be listed as well.
                with movers.Server(top / "web", log=True) as server:
                    run(form.command("upload", f"{server.url}/store", "key", tree))
                    again = bytes_put(server)
                assert again <= MANIFEST_MAX, f"an unchanged tree cost {again} bytes"
            left -= max(here, 1)


def large_download_killed(form):
    """Killed again and again at random times until it gets through; the server's log tells what was fetched twice."""
    dice = random.Random(11)
    with movers.scratch() as top:
        tree, out = top / "tree", top / "out"
        make_large_tree(tree)
        settings = {"chunks": 3} if form.name == "archive" else {}
        with movers.Server(top / "web") as server:
            run(form.command("upload", f"{server.url}/store", "key", tree, **settings))
        kills = 0
        left = TIMES
        while left > 0:
            shutil.rmtree(top / "web/tmp")
            # The rate makes a transfer last, so that the times fall into its middle.
            with movers.Server(top / "web", log=True, more="limit_rate 40m;") as server:
                clear(out)
                command = form.command("download", f"{server.url}/store", "key", out, connections=WORKERS)
                here, killed = 0, True
                while killed and here < 5:
                    killed = run_killed_after(dice.uniform(0.05, 0.9), command)
                    if killed and movers.digests(tree) == movers.digests(out):
                        break  # on its way out: there is nothing to go on with, and an archive would be fetched anew
                    here += killed
                if here == 5:
                    run(command)
                expect_same(tree, out, f"download killed {here} times")
                sent = sum(r["answered"] for r in server.requests() if r["method"] == "GET" and r["status"] < 300)
            stored = stored_bytes(top)
            allowed = here * REFETCH_MAX + (here + 1) * MANIFEST_MAX
            assert sent <= stored + allowed, f"{here} kills cost {sent - stored} bytes, at most {allowed} are allowed"
            (top / "web/access.log").unlink()
            kills += here
            left -= max(here, 1)
        print(f"# {kills} kills", flush=True)


def main():
    tests = []
    for form in movers.forms(BUILD):
        for store in (DirStore, WebStore):
            tests.append((f"upload killed at every {STEP}th system call, {form.name}, {store.name}",
                          lambda form=form, store=store: upload_killed(form, store)))
            tests.append((f"download killed at every {STEP}th system call, {form.name}, {store.name}",
                          lambda form=form, store=store: download_killed(form, store)))
        tests.append((f"upload killed at random times, {form.name}", lambda form=form: large_upload_killed(form)))
        tests.append((f"download killed at random times, {form.name}", lambda form=form: large_download_killed(form)))
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        begun = time.monotonic()
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception:  # a test's failure must not end the others
            failed += 1
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {number} - {name}", flush=True)
        print(f"# {time.monotonic() - begun:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
