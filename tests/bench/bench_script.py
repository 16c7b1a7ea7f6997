"""tools/bench script: the language beside Lua."""
from bench_common import SOURCE, answer, row, timed
import blockvisor

SCRIPTS = SOURCE / "tests/bench/script"
# What, the files' name, and the goal: our time over Lua's, each with the start of its process.
PROGRAMS = (
    ("fib(30)", "fib", 1.5),
    ("while loop, one million turns", "while", 1.5),
    ("for loop, one million turns", "for", 1.5),
    ("string building", "strings", 2.0),
    ("map-heavy work", "maps", 2.0),
    ("closure-heavy work", "closures", 2.0),
)
CALLS = 10000
SECRET = ('const TOKEN = get_secret("token");', 'local TOKEN = get_secret("token")')


def side_by_side(name, ours, peer, goal, rounds, text):
    """One after the other in turns, so that what else the machine does meets both."""
    blockvisor.expect(answer(ours) == answer(peer), f"{name}: the two programs differ")
    ratios = []
    for _ in range(rounds):
        mine = timed(ours)
        ratios.append(mine / timed(peer))
    row(name, ratios, "x", goal, "lower", text)


def run(build, quick, _):
    rounds = 5 if quick else 25
    driver, plugin = build / "tests/bench/bench-script", SCRIPTS / "plugin.rhai"
    for name, file, goal in PROGRAMS:
        side_by_side(name, [build / "cli/bv", "plugin", "eval", SCRIPTS / f"{file}.rhai"],
                     ["lua5.4", SCRIPTS / f"{file}.lua"], goal, rounds, "lua5.4, the same program")
    for name, line in (("height() calls", ("", "")), ("height() calls, a secret at the top level", SECRET)):
        side_by_side(f"{CALLS} {name}", [driver, "calls", plugin, str(CALLS), line[0]],
                     ["lua5.4", SCRIPTS / "calls.lua", SCRIPTS / "plugin.lua", str(CALLS), line[1]], 2.0,
                     max(rounds // 3, 3), "lua5.4: the same plugin, its chunk and its height() each time")
    compiled = [float(answer([driver, "compile", plugin, "50"])) for _ in range(rounds)]
    row("compile of a 500-line plugin", compiled, "ms", 2, "lower", "none: an absolute goal")
    row("memory of a loaded plugin", [float(answer([driver, "memory", plugin])) for _ in range(3)], "KiB", 200, "lower",
        "none: an absolute goal")
