"""How long `bench --help` takes, against an empty argparse program, and that it imports nothing heavy.

    python benchmarks/start_up.py [ROUNDS]
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time

EMPTY = "import argparse; argparse.ArgumentParser(prog='empty').parse_args(['--help'])"
BENCH = "from bench.cli import main; main(['--help'])"
GOAL = 2.0
HEAVY = ("asyncio", "ocpp", "numpy", "pydantic", "pymodbus", "fastapi", "websockets", "bokeh", "rich")


def run(code: str, *options: str) -> tuple[float, str]:
    """Run a program in a fresh interpreter; return wall seconds and standard error."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, done.stderr


def main() -> None:
    """Print the medians, the paired ratio and what is imported; exit 1 where a goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    times: dict[str, list[float]] = {"empty": [], "bench": []}
    for _ in range(rounds):
        order = [("empty", EMPTY), ("bench", BENCH)]
        random.shuffle(order)
        for name, code in order:
            times[name].append(run(code)[0])
    ratio = statistics.median(mine / empty for mine, empty in zip(times["bench"], times["empty"], strict=True))
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in run(BENCH, "-X", "importtime")[1].splitlines()}
    print(f"empty argparse program  {statistics.median(times['empty']) * 1000:6.1f} ms")
    print(f"bench --help            {statistics.median(times['bench']) * 1000:6.1f} ms  {ratio:.2f}x  (goal: at most {GOAL:g}x)")
    heavy = sorted(imported & set(HEAVY))
    print(f"heavy imports: {', '.join(heavy) or 'none'}  (goal: none)")
    sys.exit(ratio > GOAL or bool(heavy))


if __name__ == "__main__":
    main()
