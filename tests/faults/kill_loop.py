#!/usr/bin/env python3
"""Kills processes of running jobs at random, again and again, and has every result checked independently.

    cargo build -p mapfold-trial -p mapfold-cli
    python3 tests/faults/kill_loop.py --bin TARGET/debug --runs 100

Jobs: `groups` (map, durable exchange, reduce over numbered records in several processes), `numbers` (map only),
`standalone` (the exchange of one process) and `raster` (NDVI into one file, gone on with by --resume; its bytes must
be those of an undisturbed run). Disturbances: `member` and `coordinator` (kill -9; a job with an output goes on with
--resume, a report starts over), `zombie` (SIGSTOP, replaced after a second, SIGCONT). Attempts that stumble are
speculated. Everything random comes from --seed; a failure prints the seed of its run (--only N repeats that run).

Controls must fail: `--control no-grants` (an engine in which every attempt may emit; needs a build with debug
assertions) and `--control rename` (a job that publishes files as it goes). The exit code is then that of the loop's
own correctness: 0 when the fault was found.
"""
import argparse
import json
import random
import shutil
import sys
import time

from common import CONT, KILL, STOP, Room, Verdict, check_folder, check_groups, check_numbers, children, gone_within
from common import send, table

WEIGHTS = {"member": 10, "coordinator": 1, "zombie": 2}
# Random kills can look like a deadly split or a broken program; refusing to go on is then right, and counted.
GIVEN_UP = ("members die before they finish a split", "that worked on split")
HANG = 180


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder of mapfold-trial and mapfold")
    p.add_argument("--runs", type=int, default=100)
    p.add_argument("--members", type=int, default=4)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--kills", type=int, default=12, help="disturbances of one run, at most")
    p.add_argument("--gap", type=float, default=0.25, help="seconds between two, at most")
    p.add_argument("--splits", type=int, default=240)
    p.add_argument("--millis", type=int, default=8)
    p.add_argument("--records", type=int, default=40)
    p.add_argument("--keys", type=int, default=23)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--only", type=int, help="only the run of this number")
    p.add_argument("--job", choices=["groups", "numbers", "standalone", "raster"], default="groups")
    p.add_argument("--kinds", default="member,coordinator,zombie")
    p.add_argument("--stumble", type=int, default=2, help="percent of slow attempts")
    p.add_argument("--control", choices=["no-grants", "rename"])
    p.add_argument("--more", default="", help="options for the job")
    return p.parse_args()


class Loop:
    def __init__(self, o):
        self.o = o
        self.room = Room()
        self.kinds = [k for k in o.kinds.split(",") if k]
        self.visible = self.room.path / "visible"
        names = ["runs", "kills", "of members", "of coordinators", "zombies woken", "redone splits", "speculated"]
        self.sum = dict.fromkeys([*names, "given up", "lost", "duplicated", "foreign", "bad runs"], 0)
        self.slowest = 0.0
        self.command = self.raster() if o.job == "raster" else self.trial()

    def trial(self):
        o = self.o
        words = [f"{o.bin}/mapfold-trial", "--splits", o.splits, "--millis", o.millis, "--uneven", "--json"]
        words += ["--stumble", o.stumble, "--threads", o.threads]
        if o.job != "numbers":
            words += ["--records", o.records, "--keys", o.keys, "--partitions", 11]
        if o.control == "rename":
            words += ["--visible", self.visible]
        if o.job != "standalone":
            words += self.pseudo()
        return [*map(str, words), *o.more.split()]

    def pseudo(self):
        return ["--mode", "pseudo", "--workers", self.o.members, "--member-timeout", 1, "--speculate-after", 0.1]

    def raster(self):
        program = f"{self.o.bin}/mapfold"
        made = self.room.start([program, *"gen scene scene --size 1536 --bands B04,B08 --nodata-wedge".split()])
        assert made.wait() == 0, self.room.said()
        files = [line.strip() for line in self.room.said()[0].splitlines()]
        red, nir = (next(f for f in files if band in f) for band in ("B04", "B08"))
        words = f"run ndvi --red {red} --nir {nir} --format gtiff --compress deflate --level 12 --tile 128 --blocksize 128"
        line = [program, *words.split(), "--threads", str(self.o.threads), "--json", *self.o.more.split()]
        assert self.room.start([*line, "--out", "undisturbed.tif"]).wait() == 0, self.room.said()
        self.whole = (self.room.path / "undisturbed.tif").read_bytes()
        return [*line, "--out", "out.tif", *map(str, self.pseudo())]

    def begin(self):
        """A run that starts from nothing."""
        shutil.rmtree(self.room.path / "state", ignore_errors=True)
        shutil.rmtree(self.visible, ignore_errors=True)
        shutil.rmtree(self.room.path / ".out.tif.mapfold", ignore_errors=True)
        (self.room.path / "out.tif").unlink(missing_ok=True)
        self.visible.mkdir()

    def run(self, number):
        dice = random.Random(f"{self.o.seed}:{number}")
        self.begin()
        left, resume, gave_up = self.o.kills, False, 0
        while True:
            ended, left, killed = self.disturbed(dice, left, resume)
            out, err = self.room.said()
            if killed:
                resume = self.o.job == "raster"
            elif ended != 0 and any(g in err for g in GIVEN_UP) and gave_up < 5:
                gave_up += 1
                self.sum["given up"] += 1
                resume = "--resume" in err
            elif ended != 0:
                return f"exit {ended}: {err.strip()[-600:]}"
            else:
                return self.judge(out)

    def disturbed(self, dice, left, resume):
        """One launcher, until it ends or is killed. Gives (exit code, disturbances left, whether it was killed)."""
        environment = {"MAPFOLD_CONTROL": "no-grants"} if self.o.control == "no-grants" else None
        main = self.room.start([*self.command, *(["--resume"] if resume else [])], environment)
        asleep, began = [], time.monotonic()
        until = began + dice.uniform(0.02, self.o.gap)
        try:
            while main.poll() is None:
                now = time.monotonic()
                if now - began > HANG:
                    return f"hangs after {HANG} s", left, False
                self.wake([pid for at, pid in asleep if at <= now])
                asleep = [z for z in asleep if z[0] > now]
                if left > 0 and self.kinds and now >= until:
                    until = now + dice.uniform(0.02, self.o.gap)
                    kind = dice.choices(self.kinds, [WEIGHTS[k] for k in self.kinds])[0]
                    if kind == "coordinator":
                        return self.kill_all(main, asleep, left)
                    left -= self.hurt(kind, dice, main.pid, asleep)
                time.sleep(0.004)
            return main.returncode, left, False
        finally:
            if main.poll() is None:
                main.kill()
                main.wait()

    def hurt(self, kind, dice, launcher, asleep):
        """One member; 1 when it was there."""
        sleeping = {pid for _, pid in asleep}
        members = [pid for pid in children(launcher) if pid not in sleeping]
        if not members:
            return 0
        pid = dice.choice(members)
        if kind == "zombie":
            if len(asleep) >= self.o.members - 1 or not send(pid, STOP):
                return 0
            asleep.append((time.monotonic() + dice.uniform(1.2, 2.2), pid))
            return 1
        done = send(pid, KILL)
        self.sum["of members"] += done
        return int(done)

    def kill_all(self, main, asleep, left):
        members = children(main.pid)
        self.wake([pid for _, pid in asleep])
        main.kill()
        main.wait()
        self.sum["of coordinators"] += 1
        took = gone_within(members, 10)
        if took is None:
            return "a member outlives its coordinator by 10 s", left, False
        self.slowest = max(self.slowest, took)
        return None, left - 1, True

    def wake(self, pids):
        self.sum["zombies woken"] += sum(send(pid, CONT) for pid in pids)

    def judge(self, out):
        self.count_redone()
        o = self.o
        if o.job == "raster":
            same = (self.room.path / "out.tif").read_bytes() == self.whole
            beside = [p.name for p in self.room.path.glob(".out*")]
            return None if same and not beside else f"other bytes ({not same}), left beside: {beside}"
        result = json.loads(out)
        if o.job == "numbers":
            verdict = check_numbers(result["numbers"], o.splits)
        else:
            verdict = check_groups(result["groups"], o.splits, o.records, o.keys)
        if o.control == "rename":
            verdict = check_folder(self.visible, o.splits, o.records)
        return self.add(verdict)

    def add(self, verdict: Verdict):
        self.sum["lost"] += verdict.lost
        self.sum["duplicated"] += verdict.duplicated
        self.sum["foreign"] += verdict.foreign
        return str(verdict) if verdict.bad() else None

    def count_redone(self):
        """Attempts beyond the first of their split, in the launcher that came to the end."""
        leased = [(e["stage"], e["split"]) for e in self.room.events() if e["event"] == "split_leased"]
        self.sum["redone splits"] += len(leased) - len(set(leased))

    def row(self):
        self.sum["kills"] = self.sum["of members"] + self.sum["of coordinators"]
        self.sum.pop("speculated", None)
        return self.sum


def main():
    o = options()
    loop = Loop(o)
    began = time.monotonic()
    for number in range(o.runs) if o.only is None else [o.only]:
        fault = loop.run(number)
        loop.sum["runs"] += 1
        if fault:
            loop.sum["bad runs"] += 1
            print(f"run {number} of --seed {o.seed} --job {o.job}: {fault}", flush=True)
    row = loop.row()
    print(table([["job", *row], [o.control or o.job, *row.values()]]))
    print(f"\n{time.monotonic() - began:.0f} s; members were gone {1000 * loop.slowest:.0f} ms after their coordinator.")
    found = row["bad runs"] > 0
    if o.control:
        print("the control was found out" if found else "THE CONTROL WAS NOT FOUND OUT: the loop proves nothing")
    sys.exit(found != bool(o.control))


if __name__ == "__main__":
    main()
