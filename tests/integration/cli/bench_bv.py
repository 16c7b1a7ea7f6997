"""How long bv takes as a whole process, against a daemon with 100 nodes; the target for `bv node ls` is 10 ms.

Arguments: BUILD-DIRECTORY SOURCE-DIRECTORY. Figures mean something in an optimised build on a quiet machine.
"""
import subprocess
import sys
import time

import cli
from cli import BV, Daemon, environment

ROUNDS = 50
TARGET_MS = 10


def measure(command, env):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    return times[ROUNDS // 2], times[ROUNDS * 9 // 10]


def main():
    with Daemon('nodes=100') as d:
        env = environment(BV_HOST=d.host)
        for command in (['/bin/true'], [BV, '--version'], [BV, 'host', 'info'], [BV, '-o', 'json', 'node', 'ls'],
                        [BV, 'node', 'ls']):
            median, late = measure(command, env)
            print('%-24s median %5.1f ms, 90 %% below %5.1f ms' % (' '.join(command[-2:])[-24:], median, late))
    return 1 if median > TARGET_MS else 0


if __name__ == '__main__':
    sys.exit(main())
