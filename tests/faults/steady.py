#!/usr/bin/env python3
"""A map-only job of four processes, one of which is killed every few seconds, and one is added halfway: do the others
pause, what is done again, does who joins take splits?

    python3 tests/faults/steady.py --bin TARGET/debug

A pause is the time between two splits of one member that was not killed, as the event log has them; a run without
kills says how long pauses are anyway. Members that take the place of killed ones join the run like any other; the one
that is added is asked for with `mapfold scale`.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time

from common import KILL, Room, check_numbers, children, send, table


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder of mapfold-trial and mapfold")
    p.add_argument("--splits", type=int, default=2400)
    p.add_argument("--millis", type=int, default=50)
    p.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    p.add_argument("--members", type=int, default=4)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args()


def scale(o, room, members):
    """Asks for so many members, as soon as there is a job that can be asked."""
    asked = subprocess.run(
        [f"{o.bin}/mapfold", "scale", "mapfold-trial", str(members)],
        env={**os.environ, "XDG_STATE_HOME": str(room.path / "state")}, capture_output=True, text=True,
    )
    return asked.returncode == 0


def run(o, kill, add):
    """Runs the job. Gives (kills, verdict, events, report)."""
    room, dice, kills = Room(), random.Random(o.seed), 0
    workers = f"{o.members}..{o.members + 1}" if add else str(o.members)
    words = f"--splits {o.splits} --millis {o.millis} --mode pseudo --workers {workers} --threads {o.threads} --json"
    main = room.start([f"{o.bin}/mapfold-trial", *words.split()])
    began = time.monotonic()
    until, halfway = began + o.every, began + o.splits * o.millis / 1000 / o.members / 2
    while add and not scale(o, room, o.members):
        assert main.poll() is None and time.monotonic() < began + 10, room.said()
    while main.poll() is None:
        if kill and time.monotonic() >= until:
            until += o.every
            members = children(main.pid)
            kills += bool(members) and send(dice.choice(members), KILL)
        if add and time.monotonic() >= halfway:
            assert scale(o, room, o.members + 1), room.said()
            add = False
        time.sleep(0.01)
    out, err = room.said()
    assert main.returncode == 0, err
    report = json.loads(out)
    return kills, check_numbers(report["numbers"], o.splits), room.events(), report


def measured(o, name, kill, add):
    kills, verdict, events, report = run(o, kill, add)
    first, ends, leases = set(), {}, 0
    wanted = [e["at_ms"] for e in events if e["event"] == "members_wanted"]
    for e in events:
        if e["event"] == "split_leased":
            leases += 1
            first |= {e["member"]} if e["attempt"] == 0 else set()
        elif e["event"] == "split_done":
            ends.setdefault(e["member"], []).append(e["at_ms"])
    # A member that only gets what others have died with (alone, to find poison) waits for the next death.
    pauses = sorted(b - a for who, t in ends.items() if who in first for a, b in zip(t, t[1:]))
    again, held = leases - o.splits, kills * 2 * o.threads
    joined = [e["member"] for e in events if e["event"] == "member_joined" and add and e["at_ms"] >= wanted[-1]]
    added = len(ends.get(joined[0], [])) if joined else 0
    median, worst = pauses[len(pauses) // 2], pauses[-1]
    row = [name, o.splits, kills, report["run"]["replaced"], added if add else "", again, held, median, worst, str(verdict)]
    return [*row, f"{report['run']['wall_seconds']:.1f}"], verdict.bad() or again > held or (add and added == 0)


def main():
    o = options()
    head = ["", "splits", "kills", "replaced", "splits of the added one", "leased again", "held by the killed, at most"]
    rows = [[*head, "median pause, ms", "longest pause, ms", "result", "wall, s"]]
    bad = False
    ways = [("undisturbed", False, False), ("one killed every few seconds", True, False)]
    for way in [*ways, ("the same, one added halfway", True, True)]:
        row, wrong = measured(o, *way)
        rows.append(row)
        bad |= wrong
    print(table(rows))
    sys.exit(bad)


if __name__ == "__main__":
    main()
