#!/usr/bin/env python3
"""Jobs x stores x modes: is every output the same, byte for byte, as that of a local run in one process?

    stores.py MAPFOLD [--stores local,hdfs,s3,azure,gcs] [--modes standalone,pseudo,ssh,yarn] [--skip yarn:s3+azure+gcs]
              [--out docs/src/stores-table.md]

Inputs and outputs both lie in the store; the outputs are fetched by another client (`tests/oracle/far.py`). Servers come
from `cluster/part.sh`. A cell is `identical` and the seconds of the whole command, or `not run`, or says what went wrong;
then the exit code is 1. The times say that it works, not how fast it is: all of it runs on one machine, debug builds too.
"""

import argparse
import datetime
import filecmp
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
FAR = HERE / "tests/oracle/far.py"
STORES = {"local": "local disk", "hdfs": "HDFS", "s3": "S3 (MinIO)", "azure": "Azure (Azurite)", "gcs": "Google (double)"}
SMALL = "--threads 1 --memory-limit 256MiB"
MODES = {  # a part that it needs, options
    "standalone": (None, ""),
    "pseudo": (None, "--mode pseudo --workers 2"),
    "ssh": ("ssh", f"--mode cluster --target {{MAPFOLD_PART_SSH}} --workers 2 {SMALL}"),
    "yarn": ("yarn", f"--mode cluster --target yarn --staging {{desk}}/staging --workers 2 --am-memory 256MiB {SMALL}"),
}


def call(line, env=None, cwd=None):
    done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=cwd)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise RuntimeError(f"exit {done.returncode}: {last}")
    return done.stdout


def part(name):
    """What reaches a part, which is started."""
    script = str(HERE / "cluster/part.sh")
    call([script, name, "up"])
    return dict(line.split("=", 1) for line in call([script, name, "vars"]).splitlines())


def inputs(mapfold, desk):
    """Scene, text and table in the folder `desk`; names by what they are."""
    made = call([mapfold, "gen", "scene", "scene", "--size", "1500", "--bands", "B04,B08", "--nodata-wedge"], cwd=desk)
    red, nir = ([line.strip() for line in made.splitlines() if band in line][0] for band in ("B04", "B08"))
    words = (f"word{i * 2654435761 % 4999} and{i % 31} {i}" for i in range(60_000))
    (desk / "text.txt").write_text("\n".join(words) + "\n")
    rows = (f"c{i * 40503 % 97},{i % 1000 / 8},{i}" for i in range(60_000))
    (desk / "table.csv").write_text("city,value,n\n" + "\n".join(rows) + "\n")
    return {"red": red, "nir": nir, "text": "text.txt", "table": "table.csv"}


def jobs(at):
    """Title, name of the output, words of the command, whether the output is a folder."""
    cut = ["--split-size", "131072"]
    by = ["--by", "city", "--agg", "value:sum,mean", "--agg", "n:max"]
    return [
        ("NDVI", "ndvi.tif", ["ndvi", "--red", at["red"], "--nir", at["nir"], "--tile", "512"], False),
        ("wordcount", "counts", ["wordcount", at["text"], *cut], True),
        ("sort", "sorted", ["sort", at["text"], *cut], True),
        ("aggregate", "table.parquet", ["aggregate", at["table"], *by], False),
    ]


class Store:
    """A store, and the inputs in it."""

    def __init__(self, name, mapfold, desk, local):
        self.name, self.mapfold, self.desk = name, mapfold, desk
        self.env = {} if name == "local" else part(name)
        self.root = str(desk / "there")
        if name != "local":
            self.root = f"{self.env['MAPFOLD_PART_' + name.upper()]}/table-{os.getpid()}-{int(time.time())}"
        if name == "hdfs":
            call([sys.executable, str(FAR), "mkdir", self.root], {**os.environ, **self.env})
        self.inputs = {what: self.sent(text) for what, text in local.items()}

    def sent(self, text):
        file, _, fragment = text.partition("#")
        to = f"{self.root}/in-{pathlib.Path(file).name}"
        if self.name == "local":
            os.makedirs(self.root, exist_ok=True)
        call([self.mapfold, "cp", str(self.desk / file), to], {**os.environ, **self.env})
        return f"{to}#{fragment}" if fragment else to

    def fetched(self, out, folder, to):
        """Fetches an output by the other client."""
        if self.name == "local":
            return shutil.copytree(out, to / "out") if folder else shutil.copy(out, to / "file")
        verb = ["tree", out, str(to)] if folder else ["get", out, str(to / "file")]
        names = call([sys.executable, str(FAR), *verb], {**os.environ, **self.env}).splitlines()
        (to / "out").mkdir()
        for n, name in enumerate(name for name in names if folder and name):
            (to / str(n)).rename(to / "out" / name)

    def compare(self, want, out, folder):
        with tempfile.TemporaryDirectory() as to:
            to = pathlib.Path(to)
            self.fetched(out, folder, to)
            if not folder:
                return "identical" if filecmp.cmp(to / "file", want, shallow=False) else "OTHER BYTES"
            found, parts = (sorted(p.name for p in d.iterdir()) for d in (to / "out", want))
            if found != parts or "_SUCCESS" not in found:
                return "OTHER FILES"
            same = all(filecmp.cmp(to / "out" / n, want / n, shallow=False) for n in parts if n != "_SUCCESS")
            return "identical" if same else "OTHER BYTES"

    def cell(self, job, mode, env):
        _, name, words, folder = job
        out = f"{self.root}/{mode}-{name}"
        options = MODES[mode][1].format(desk=self.desk, **env).split()
        began = time.monotonic()
        try:
            everything = {**os.environ, **env, **self.env}
            call([self.mapfold, "run", *words, "--out", out, "-q", *options], everything, self.desk)
            seconds = time.monotonic() - began
            return f"{self.compare(self.desk / 'want' / name, out, folder)}, {seconds:.1f} s"
        except RuntimeError as e:
            return str(e)


def rows(args, mapfold, desk):
    local = inputs(mapfold, desk)
    (desk / "want").mkdir()
    for _, name, words, _ in jobs(local):
        call([mapfold, "run", *words, "--out", f"want/{name}", "-q"], cwd=desk)
    modes = {mode: part(MODES[mode][0]) if MODES[mode][0] else {} for mode in args.modes}
    for name in args.stores:
        store = Store(name, mapfold, desk, local)
        for job in jobs(store.inputs):
            ran = lambda mode: mode in modes and name not in args.skip.get(mode, [])
            cells = [store.cell(job, mode, modes[mode]) if ran(mode) else "not run" for mode in MODES]
            print(" | ".join([job[0], STORES[name], *cells]), flush=True)
            yield [job[0], STORES[name], *cells]
        call([mapfold, "rm", "-r", store.root], {**os.environ, **store.env})


def written(table, mapfold):
    head = ["job", "input and output on", *MODES]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *table]]
    version = call([mapfold, "--version"]).strip()
    said = f"Made by `bench/stores.py` on {datetime.date.today()} with {version}: seconds of the whole command."
    return "\n".join([said, "", *lines]) + "\n"


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("mapfold")
    ask.add_argument("--stores", default=",".join(STORES), type=lambda text: text.split(","))
    ask.add_argument("--modes", default="standalone,pseudo", type=lambda text: text.split(","))
    pairs = lambda text: {mode: stores.split("+") for mode, stores in [one.split(":") for one in text.split(",")]}
    ask.add_argument("--skip", default="yarn:s3+azure+gcs", type=pairs, help="combinations that are not run")
    ask.add_argument("--out")
    args = ask.parse_args()
    mapfold = os.path.abspath(args.mapfold)
    desk = pathlib.Path(tempfile.mkdtemp(prefix="mapfold-table-"))
    table = list(rows(args, mapfold, desk))
    shutil.rmtree(desk)
    if args.out:
        pathlib.Path(args.out).write_text(written(table, mapfold))
    bad = [cell for row in table for cell in row[2:] if not cell.startswith(("identical", "not run"))]
    sys.exit(len(bad) > 0)


main()
