#!/usr/bin/env python3
"""How long a job on YARN takes to begin and to end: from the command to the first split, from the kill to no process left.

    yarn.py MAPFOLD [--repeat 5] [--out docs/src/yarn-table.md]

The cluster is the part `yarn` of `cluster/part.sh`: a ResourceManager, two NodeManagers and an HDFS on this machine, with
nothing else to do. The job is `streaming` with a mapper that notes its first moment and then waits, so the first split is
seen where it runs. Processes are those whose working folder is one of the application's containers. Three ways to kill:
Ctrl-C of the launcher, `mapfold kill` from another shell, and the ResourceManager's own order (its REST interface).

A second table is of a longer job, of four members: the NodeManager that does not hold the application master is killed with
`kill -9` in the middle. A pause is the time between the begins of two splits of one thread of a member on the other node, a
quarter of a second of which is the split; the job goes on until the ResourceManager has missed the node and after that.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 120
STEP = 0.01


def part(name):
    script = str(HERE / "cluster/part.sh")
    subprocess.run([script, name, "up"], check=True)
    told = subprocess.run([script, name, "vars"], check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def until(what, look):
    """Waits for it; gives what it is and the moment."""
    began = time.time()
    while time.time() - began < PATIENCE:
        if found := look():
            return found, time.time()
        time.sleep(STEP)
    sys.exit(f"{what} did not come in {PATIENCE} s")


def processes(application):
    """Working folders of what runs in containers, and the programs."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                folder, program = os.readlink(f"/proc/{entry.name}/cwd"), os.readlink(f"/proc/{entry.name}/exe")
            except OSError:
                continue  # It has just ended, or is the kernel's.
            if application in folder:
                found.append((folder, program))
    return found


class Job:
    """A job of two members that has begun, each in a split that lasts."""

    def __init__(self, mapfold, desk, env):
        self.mapfold, self.desk, self.env = mapfold, desk, env
        (desk / "marks").mkdir()
        mapper = desk / "mapper.sh"
        mapper.write_text(f"#!/bin/sh\ndate +%s.%N > {desk}/marks/$$\nsleep 60\ncat\n")
        mapper.chmod(0o755)
        (desk / "in").mkdir()
        for n in range(4):
            (desk / "in" / f"{n}.txt").write_text("line\n" * 10)
        line = f"run streaming {desk}/in --out {desk}/out --mapper {mapper} --mode cluster --target yarn --workers 2 --threads 1 " \
               f"--memory-limit 256MiB --am-memory 256MiB --staging {desk}/staging"
        self.began = time.time()
        with open(desk / "said", "w") as said:
            self.launcher = subprocess.Popen([mapfold, *line.split()], cwd=desk, env=env, stdout=said, stderr=said,
                                             start_new_session=True)

    def first_split(self):
        marks = self.desk / "marks"
        until("the first split", lambda: any(m.stat().st_size for m in marks.iterdir()) or self.launcher.poll() is not None)
        if self.launcher.poll() is not None:
            sys.exit((self.desk / "said").read_text())
        return min(float(m.read_text()) for m in marks.iterdir() if m.stat().st_size) - self.began

    def application(self):
        for log in (self.desk / "state/mapfold/jobs").glob("*/events.ndjson"):
            if found := re.search(r"application_\d+_\d+", log.read_text()):
                return found.group()
        sys.exit("the launcher's record names no application")

    def killed(self, how):
        """Seconds from the order to no process; the marks of both members are there."""
        application = self.application()
        until("both members", lambda: len(list((self.desk / "marks").iterdir())) >= 2)
        began = time.time()
        order = None
        if how == "Ctrl-C":
            self.launcher.send_signal(signal.SIGINT)
        elif how == "mapfold kill":
            order = subprocess.Popen([self.mapfold, "kill", "streaming"], cwd=self.desk, env=self.env,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        else:
            kill(self.env["MAPFOLD_PART_YARN"], application)
        _, ended = until("the end of all processes", lambda: not processes(application))
        until("the end of the launcher", lambda: self.launcher.poll() is not None)
        if order:
            order.wait()
        if (self.desk / "out").exists():
            sys.exit(f"{how}: there is an output")
        return ended - began


def kill(manager, application):
    url = f"{manager}/ws/v1/cluster/apps/{application}/state?user.name={os.environ.get('USER', 'root')}"
    request = urllib.request.Request(url, json.dumps({"state": "KILLED"}).encode(), {"Content-Type": "application/json"},
                                     method="PUT")
    urllib.request.urlopen(request, timeout=20).read()


def once(mapfold, env, how):
    desk = pathlib.Path(tempfile.mkdtemp(prefix="mapfold-yarn-"))
    job = Job(mapfold, desk, {**env, "XDG_STATE_HOME": str(desk / "state")})
    got = job.first_split(), job.killed(how)
    shutil.rmtree(desk)
    print(f"{how}: first split after {got[0]:.2f} s, no process {got[1]:.2f} s after the order", flush=True)
    return got


SPLITS, LASTS, MEMBERS = 600, 0.25, 4


def node(folder):
    """The NodeManager in whose folder a process works."""
    return re.search(r"/(nm\d)/", folder).group(1)


def steady(mapfold, env, disturbed):
    """Longest pauses of members that stayed, and the seconds from the kill to the end, if a NodeManager is killed."""
    desk = pathlib.Path(tempfile.mkdtemp(prefix="mapfold-yarn-"))
    mapper, marks = desk / "mapper.sh", desk / "marks"
    mapper.write_text(f'#!/bin/sh\necho "$(date +%s.%N) $PWD" >> {marks}\nsleep {LASTS}\ncat\n')
    mapper.chmod(0o755)
    (desk / "in").mkdir()
    for n in range(SPLITS):
        (desk / "in" / f"{n:04}.txt").write_text(f"line {n}\n")
    line = f"run streaming {desk}/in --out {desk}/out --mapper {mapper} --mode cluster --target yarn --workers {MEMBERS} " \
           f"--threads 1 --memory-limit 256MiB --am-memory 256MiB --staging {desk}/staging"
    with open(desk / "said", "w") as said:
        launcher = subprocess.Popen([mapfold, *line.split()], cwd=desk, stdout=said, stderr=said,
                                    env={**env, "XDG_STATE_HOME": str(desk / "state")})
    until("some splits", lambda: marks.exists() and len(marks.read_text().splitlines()) > 8 * MEMBERS)
    if disturbed:
        there = processes("application_")
        master = next(node(folder) for folder, program in there if "java" in program)
        victim = next(node(folder) for folder, _ in there if node(folder) != master)
        subprocess.run([str(HERE / "cluster/part.sh"), "yarn", "kill9", victim], check=True)
        killed = time.time()
    _, ended = until("the end of the job", lambda: launcher.poll() is not None)
    if launcher.returncode != 0:
        sys.exit((desk / "said").read_text())
    lines = [one for part in sorted((desk / "out").glob("part-*")) for one in part.read_text().splitlines()]
    if lines != [f"line {n}" for n in range(SPLITS)]:
        sys.exit(f"{desk}/out has other lines")
    begins = {}
    for mark in marks.read_text().splitlines():
        at, folder = mark.split(" ", 1)
        if not disturbed or node(folder) != victim:
            begins.setdefault(folder, []).append(float(at))
    pauses = sorted(b - a for all in begins.values() for a, b in zip(sorted(all), sorted(all)[1:]))
    if disturbed:
        subprocess.run([str(HERE / "cluster/part.sh"), "yarn", "up"], check=True)
    shutil.rmtree(desk)
    name = f"{victim} killed" if disturbed else "undisturbed"
    row = [name, str(len(begins)), f"{statistics.median(pauses):.3f}", f"{pauses[-1]:.3f}"]
    return [*row, f"{ended - killed:.1f}" if disturbed else ""]


def pauses(mapfold, env, repeat):
    head = ["", "members that stayed", "median pause, s", "longest pause, s", "the job went on after the kill, s"]
    rows = [head, ["---", *["---:"] * 4]]
    for _ in range(repeat):
        rows += [steady(mapfold, env, disturbed) for disturbed in (False, True)]
        print(rows[-2:], flush=True)
    return [f"A NodeManager killed in a map-only job: {SPLITS} splits of {LASTS} s, {MEMBERS} members.", "",
            *["| " + " | ".join(row) + " |" for row in rows]]


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("mapfold", type=os.path.abspath)
    ask.add_argument("--repeat", type=int, default=5)
    ask.add_argument("--steady", type=int, default=3, help="jobs in which a NodeManager is killed")
    ask.add_argument("--out", type=pathlib.Path)
    a = ask.parse_args()
    env = {**os.environ, **part("yarn")}
    ways = ["Ctrl-C", "mapfold kill", "the ResourceManager's order"]
    got = {how: [] for how in ways}
    once(a.mapfold, env, ways[0])  # The program is staged, and the cluster has run something.
    for _ in range(a.repeat):
        for how in ways:
            got[how].append(once(a.mapfold, env, how))
    begins = [begin for all in got.values() for begin, _ in all]
    rows = [("from the command to the first split", begins, "8 s")]
    rows += [(f"from the kill to no process left: {how}", [end for _, end in got[how]], "2 s") for how in ways]
    lines = ["| | median s | longest s | asked |", "|---|---:|---:|---:|"]
    lines += [f"| {what} | {statistics.median(all):.2f} | {max(all):.2f} | {asked} |" for what, all, asked in rows]
    said = f"Made by `bench/yarn.py` on {datetime.date.today()}, {len(begins)} jobs, {os.cpu_count()} cores, cluster and all on them."
    text = "\n".join([said, "", *lines, "", *pauses(a.mapfold, env, a.steady)]) + "\n"
    print(text)
    if a.out:
        a.out.write_text(text)


main()
