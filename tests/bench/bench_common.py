"""What the groups of tools/bench share: rows of figures, and how to time a program."""
import json
import pathlib
import statistics
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
ROWS = []


def row(name, values, unit, goal, better, peer):
    """values: our figure of each round, already relative to the peer where the goal is. goal None: there is none."""
    value = statistics.median(values)
    ROWS.append({"name": name, "value": round(value, 4), "unit": unit, "goal": goal, "better": better, "peer": peer,
                 "min": round(min(values), 4), "max": round(max(values), 4)})
    print(f"# {name}: {value:.4g} {unit} (from {min(values):.4g} to {max(values):.4g}; goal {goal}; {peer})",
          file=sys.stderr, flush=True)


def timed(command, **options):
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, **options)
    return time.perf_counter() - begun


def answer(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def measured(command, **options):
    """Seconds, and peak of resident memory in MiB as the program itself says; why, when it fails."""
    begun = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)
    seconds = time.perf_counter() - begun
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")
    return seconds, int(done.stdout.rsplit("peak_kib=", 1)[1]) / 1024


def is_met(r):
    return r["goal"] is None or (r["value"] <= r["goal"] if r["better"] == "lower" else r["value"] >= r["goal"])


def print_table():
    print("| Goal | Figure | Spread | Wanted | Met | Against |\n|---|---|---|---|---|---|")
    for r in ROWS:
        wanted = "-" if r["goal"] is None else f"{'≤' if r['better'] == 'lower' else '≥'} {r['goal']}"
        met = "-" if r["goal"] is None else "yes" if is_met(r) else "no"
        peer = r["peer"].replace("|", "\\|")
        print(f"| {r['name']} | {r['value']:.4g} {r['unit']} | {r['min']:.4g} – {r['max']:.4g} | {wanted} | {met} | {peer} |")


def print_json():
    for r in ROWS:
        print(json.dumps(r))
