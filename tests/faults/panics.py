#!/usr/bin/env python3
"""A panic in user code, in runs of 1 to 4 processes with 1 to 4 threads: no hang, the cause first, nobody left behind.

    python3 tests/faults/panics.py --bin TARGET/debug --runs 200

The split that panics makes a file just before, so the time from there to the end of every process is measured.
"""
import argparse
import random
import sys
import time

from common import Room, children, gone_within, table

HANG = 60
WITHIN = 2.0


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder of mapfold-trial")
    p.add_argument("--runs", type=int, default=200)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args()


def one(program, room, dice, workers, threads):
    """Seconds from the panic until all were gone, or what was wrong."""
    mark = room.path / "mark"
    mark.unlink(missing_ok=True)
    job = f"--splits 200 --millis 3 --bad {dice.randrange(200)} --harm panic --mark {mark} --threads {threads}"
    if dice.random() < 0.5:
        job += " --records 5 --keys 3"
    mode = f" --mode pseudo --workers {workers}" if workers > 1 or dice.random() < 0.5 else ""
    run, seen, began = room.start([program, *(job + mode).split()]), set(), time.monotonic()
    while run.poll() is None:
        seen.update(children(run.pid))
        if time.monotonic() - began > HANG:
            run.kill()
            return f"hangs: {job}{mode}"
        time.sleep(0.002)
    if gone_within(seen, WITHIN) is None:
        return f"a member lives on: {job}{mode}"
    took, first = time.time() - mark.stat().st_mtime, room.said()[1].split("\n")[0]
    if run.returncode != 1 or not first.startswith("error: ") or "a harmful split" not in first:
        return f"exit {run.returncode}, first line {first!r}: {job}{mode}"
    return took


def main():
    o = options()
    room, rows, bad = Room(), [["processes x threads", "runs", "hangs or wrong", "slowest end, s"]], 0
    shapes = [(w, t) for w in range(1, 5) for t in range(1, 5)]
    results = {shape: [] for shape in shapes}
    for number in range(o.runs):
        shape = shapes[number % len(shapes)]
        told = one(f"{o.bin}/mapfold-trial", room, random.Random(f"{o.seed}:{number}"), *shape)
        results[shape].append(told)
        if isinstance(told, str):
            print(f"run {number} of --seed {o.seed}: {told}", flush=True)
    for (w, t), told in results.items():
        times, wrong = [x for x in told if not isinstance(x, str)], sum(isinstance(x, str) for x in told)
        bad += wrong + sum(x > WITHIN for x in times)
        rows.append([f"{w} x {t}", len(told), wrong, f"{max(times, default=0):.2f}"])
    print(table(rows))
    print(f"\n{o.runs} runs, {bad} hangs, wrong answers or ends slower than {WITHIN} s")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
