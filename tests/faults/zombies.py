#!/usr/bin/env python3
"""Members that stand still, are replaced, and wake when others have committed what they held.

    python3 tests/faults/zombies.py --bin TARGET/debug --zombies 100
    python3 tests/faults/zombies.py --bin TARGET/debug --zombies 6 --timeout 0

Each zombie is stopped (SIGSTOP) while it holds splits, and woken (SIGCONT) only when the event log says that it was given
up and that every split it held is registered by another: it wakes after the commit. It must then end by itself, and the
result must be that of an undisturbed run. `--timeout 0` leaves `--member-timeout` at its default (30 s): how long it takes
until a zombie is noticed is measured from SIGSTOP to the event, and more than 35 s is a failure.
"""
import argparse
import json
import random
import sys
import time

from common import CONT, STOP, Room, check_groups, check_numbers, children, lives, send, table


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder of mapfold-trial")
    p.add_argument("--zombies", type=int, default=100)
    p.add_argument("--members", type=int, default=5)
    p.add_argument("--timeout", type=int, default=1, help="--member-timeout, 0: its default")
    p.add_argument("--at-once", type=int, default=3, help="members that stand still at a time")
    p.add_argument("--splits", type=int, default=600)
    p.add_argument("--millis", type=int, default=60)
    p.add_argument("--records", type=int, default=20, help="of a split, exchanged and reduced; 0: map only")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--more", default="", help="options for the job")
    return p.parse_args()


class Log:
    """The event log of the one job of a room, read as it grows."""

    def __init__(self, room):
        self.room, self.file, self.part = room, None, b""
        self.held, self.done, self.lost, self.left = {}, set(), {}, 0

    def go_on(self):
        if self.file is None:
            paths = list((self.room.path / "state").rglob("events.ndjson"))
            if not paths:
                return
            self.file = open(paths[0], "rb")
        *lines, self.part = (self.part + self.file.read()).split(b"\n")
        for line in lines:
            self.note(json.loads(line))

    def note(self, e):
        at = (e.get("stage"), e.get("split"))
        if e["event"] == "split_leased":
            self.held.setdefault(e["member"], set()).add(at)
        elif e["event"] == "split_done":
            self.done.add(at)
        elif e["event"] == "member_lost":
            self.lost[e["member"]] = e["at_ms"] / 1000


def member_of(pid):
    """The number of a member process, from its command line."""
    words = open(f"/proc/{pid}/cmdline").read().split("\0")
    place = next(w for w in words if w.startswith("job="))
    return int(dict(kv.split("=", 1) for kv in place.split(","))["index"])


class Loop:
    def __init__(self, o):
        self.o, self.dice = o, random.Random(o.seed)
        self.woken, self.noticed, self.bad, self.runs, self.slow_to_end = 0, [], [], 0, 0

    def command(self):
        o = self.o
        words = f"--splits {o.splits} --millis {o.millis} --threads 1 --mode pseudo --workers {o.members} --json {o.more}"
        words += f" --records {o.records} --keys 23 --partitions 11" if o.records else ""
        words += f" --member-timeout {o.timeout}" if o.timeout else ""
        return [f"{o.bin}/mapfold-trial", *words.split()]

    def run(self):
        room = Room()
        main, log, asleep = room.start(self.command()), Log(room), {}
        self.runs += 1
        while main.poll() is None:
            log.go_on()
            self.wake(log, asleep)
            if self.woken + len(asleep) < self.o.zombies and len(asleep) < self.o.at_once:
                self.stop_one(main.pid, log, asleep)
            time.sleep(0.005)
        out, err = room.said()
        if main.returncode != 0:
            self.bad.append(f"exit {main.returncode}: {err.strip()[-300:]}")
            return
        result, o = json.loads(out), self.o
        checked = check_groups(result["groups"], o.splits, o.records, 23) if o.records else check_numbers(result["numbers"], o.splits)
        if checked.bad():
            self.bad.append(str(checked))

    def stop_one(self, launcher, log, asleep):
        """Stops a member that holds splits and has others beside it."""
        pids = [pid for pid in children(launcher) if pid not in asleep]
        if len(pids) < 2:
            return
        pid = self.dice.choice(pids)
        try:
            member = member_of(pid)
        except (OSError, StopIteration):
            return
        if log.held.get(member, set()) - log.done and send(pid, STOP):
            asleep[pid] = (member, time.time())

    def wake(self, log, asleep):
        """Wakes those whose splits are all registered by others, and sees that they end."""
        for pid, (member, since) in list(asleep.items()):
            gone = log.lost.get(member)
            if gone is None or log.held.get(member, set()) - log.done:
                continue
            del asleep[pid]
            self.noticed.append(gone - since)
            if not send(pid, CONT):
                continue
            self.woken += 1
            until = time.monotonic() + 10
            while lives(pid) and time.monotonic() < until:
                time.sleep(0.002)
            self.slow_to_end += lives(pid)


def main():
    o = options()
    loop = Loop(o)
    while loop.woken < o.zombies and loop.runs < 10 * o.zombies:
        loop.run()
    limit = 35 if o.timeout == 0 else o.timeout + 5
    worst = max(loop.noticed, default=0.0)
    head = ["--member-timeout", "runs", "woken after commit", "noticed within, s", "did not end", "wrong results"]
    row = [o.timeout or "default", loop.runs, loop.woken, f"{worst:.1f}", loop.slow_to_end, len(loop.bad)]
    print(table([head, row]))
    for fault in loop.bad:
        print(fault)
    sys.exit(bool(loop.bad or loop.slow_to_end or worst > limit or loop.woken < o.zombies))


if __name__ == "__main__":
    main()
