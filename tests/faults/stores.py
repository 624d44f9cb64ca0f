#!/usr/bin/env python3
"""Kills a job at every step of the commit protocol, each time that the step is reached, with its outputs in a store.

    cargo build --workspace --all-features --bin mapfold --example indices
    python3 tests/faults/stores.py --bin TARGET/debug --stores s3,hdfs

The job has two outputs and two member processes. After each kill (and after each error that a step answers with) nothing
is to be seen before the decision, `--resume` makes the bytes of an undisturbed local run, and nothing is left: no file
beside the outputs, no open upload. What lies in the store is asked by another client (`tests/oracle/far.py`). Prints a
table; the exit code is 1 when a law was broken. The short version is `tests/tests/far.rs`.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent.parent
FAR = [sys.executable, str(HERE / "tests/oracle/far.py")]
BEFORE = ["claimed", "planned", "logged", "laid-out", "before-decision"]
AFTER = ["decided", "revealed", "before-cleaning", "cleaned"]
OUTPUTS = ["a.tif", "b.tif"]


def call(line, env=None, cwd=None):
    done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=cwd)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


class Loop:
    def __init__(self, store, folder):
        self.store, self.bin = store, pathlib.Path(folder).resolve()
        self.room = tempfile.TemporaryDirectory(prefix="mapfold-faults-")
        self.desk = pathlib.Path(self.room.name)
        script = str(HERE / "cluster/part.sh")
        call([script, store, "up"])
        found = dict(line.split("=", 1) for line in call([script, store, "vars"]).splitlines())
        self.env = {**os.environ, **found, "XDG_STATE_HOME": str(self.desk / "state")}
        self.root = f"{found['MAPFOLD_PART_' + store.upper()]}/steps-{os.getpid()}-{int(time.time())}"
        made = call([self.bin / "mapfold", "gen", "scene", "scene", "--size", "600", "--bands", "B04,B08"], cwd=self.desk)
        self.bands = [next(l.strip() for l in made.splitlines() if band in l) for band in ("B04", "B08")]
        self.broken = []
        self.run(".", [], None)
        self.want = {name: (self.desk / name).read_bytes() for name in OUTPUTS}

    def run(self, to, more, point):
        red, nir = self.bands
        outputs = ["--ndvi", f"{to}/a.tif", "--sum", f"{to}/b.tif"]
        line = [self.bin / "examples/indices", "--red", red, "--nir", nir, *outputs, "--tile", "256", "--blocksize", "64"]
        line += ["--mode", "pseudo", "--workers", "2", "--threads", "1", *more]
        env = {**self.env, "MAPFOLD_FAIL_POINTS": point or ""}
        return subprocess.run(line, capture_output=True, text=True, env=env, cwd=self.desk)

    def law(self, holds, what):
        if not holds:
            self.broken.append(what)
            print(f"BROKEN: {self.store} {what}", flush=True)

    def far(self, *words):
        return [line for line in call([*FAR, *words], self.env).splitlines() if line]

    def check(self, to, case):
        done = self.run(to, ["--resume"], None)
        self.law(done.returncode == 0, f"{case}: --resume ends with {done.returncode}: {done.stderr.strip()}")
        names = self.far("ls", to)
        self.law(names == OUTPUTS, f"{case}: {names} are there")
        for name in set(names) & set(OUTPUTS):
            self.far("get", f"{to}/{name}", str(self.desk / "got"))
            self.law((self.desk / "got").read_bytes() == self.want[name], f"{case}: other bytes in {name}")
        left = self.far("uploads", *(f"{to}/{name}" for name in OUTPUTS))
        self.law(not left, f"{case}: open uploads {left}")

    def step(self, step, action):
        """How often the step is reached, each time disturbed."""
        for n in range(1, 100):
            case = f"{step}:{n}={action}"
            to = f"{self.root}/{case.replace(':', '-').replace('=', '-')}"
            done = self.run(to, [], case)
            if done.returncode == 0:
                return n - 1
            seen = [name for name in self.far("ls", to) if name in OUTPUTS]
            self.law(step in AFTER or not seen, f"{case}: {seen} are visible before the decision")
            self.check(to, case)
        raise SystemExit(f"{step}: a run has an end")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder of mapfold and examples/indices")
    p.add_argument("--stores", default="s3,hdfs")
    o = p.parse_args()
    stores, rows = o.stores.split(","), {step: [] for step in BEFORE + AFTER}
    broken = 0
    for store in stores:
        loop = Loop(store, o.bin)
        for step, row in rows.items():
            before = len(loop.broken)
            row += [loop.step(step, "abort"), loop.step(step, "error"), len(loop.broken) - before]
            print(store, step, row[-3:], flush=True)
        call([loop.bin / "mapfold", "rm", "-r", loop.root], loop.env)
        broken += len(loop.broken)
    head = ["step", *(f"{store}: {what}" for store in stores for what in ("killed", "failed", "violations"))]
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *([step, *map(str, row)] for step, row in rows.items())]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))
    sys.exit(broken > 0)


main()
