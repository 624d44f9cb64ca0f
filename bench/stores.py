#!/usr/bin/env python3
"""Jobs x stores x modes: is every output the same, byte for byte, as that of a local run in one process?

    stores.py MAPFOLD [--stores s3,azure,gcs,hdfs] [--modes standalone,pseudo] [--out docs/src/stores-table.md]

Inputs and outputs both lie in the store. Servers come from `cluster/part.sh`; the outputs are fetched by another client
(`tests/oracle/far.py`). A cell is `identical`, or says what went wrong; the exit code is 1 when any did. A mode may be
given with its own options: `--mode-options 'ssh=--mode cluster --target ssh://a,b'`.
"""

import argparse
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
MODES = {"standalone": "", "pseudo": "--mode pseudo --workers 2"}


def call(line, env=None, cwd=None):
    done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=cwd)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise RuntimeError(f"exit {done.returncode}: {last}")
    return done.stdout


def part(name):
    """Environment that reaches a store, and a folder of its own there."""
    script = str(HERE / "cluster/part.sh")
    call([script, name, "up"])
    found = dict(line.split("=", 1) for line in call([script, name, "vars"]).splitlines())
    return {**os.environ, **found}, f"{found['MAPFOLD_PART_' + name.upper()]}/table-{os.getpid()}-{int(time.time())}"


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
    """Name, words of the command without --out, whether the output is a folder."""
    return [
        ("ndvi.tif", ["ndvi", "--red", at["red"], "--nir", at["nir"], "--tile", "512"], False),
        ("wordcount", ["wordcount", at["text"], "--split-size", "131072"], True),
        ("sort", ["sort", at["text"], "--split-size", "131072"], True),
        ("aggregate.parquet", ["aggregate", at["table"], "--by", "city", "--agg", "value:sum,mean", "--agg", "n:max"], False),
    ]


def fetched(out, folder, env, to):
    """Fetches an output by the other client; gives its names."""
    if not folder:
        call([sys.executable, str(FAR), "get", out, str(to / "file")], env)
        return ["file"]
    names = [n for n in call([sys.executable, str(FAR), "ls", out], env).splitlines() if n]
    for name in names:
        call([sys.executable, str(FAR), "get", f"{out}/{name}", str(to / name)], env)
    return names


def compare(want, out, folder, env):
    with tempfile.TemporaryDirectory() as to:
        to = pathlib.Path(to)
        names = fetched(out, folder, env, to)
        if not folder:
            return "identical" if filecmp.cmp(to / "file", want, shallow=False) else "OTHER BYTES"
        parts = sorted(p.name for p in want.iterdir() if p.name != "_SUCCESS")
        if "_SUCCESS" not in names or sorted(n for n in names if n != "_SUCCESS") != parts:
            return "OTHER FILES"
        same = all(filecmp.cmp(to / name, want / name, shallow=False) for name in parts)
        return "identical" if same else "OTHER BYTES"


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("mapfold")
    ask.add_argument("--stores", default="s3,azure,gcs,hdfs")
    ask.add_argument("--modes", default="standalone,pseudo")
    ask.add_argument("--mode-options", action="append", default=[])
    ask.add_argument("--out")
    args = ask.parse_args()
    mapfold, modes = os.path.abspath(args.mapfold), {**MODES, **dict(o.split("=", 1) for o in args.mode_options)}
    names = {"s3": "MinIO (S3)", "azure": "Azurite", "gcs": "Google (double)", "hdfs": "HDFS"}
    desk = pathlib.Path(tempfile.mkdtemp(prefix="mapfold-table-"))
    given = inputs(mapfold, desk)
    for job, words, _ in jobs(given):
        call([mapfold, "run", *words, "--out", job, "-q"], cwd=desk)
    table, bad = [], 0
    for store in args.stores.split(","):
        env, root = part(store)
        far = {}
        for what, local in given.items():
            far[what] = f"{root}/in/{pathlib.Path(local.split('#')[0]).name}" + "".join("#" + b for b in local.split("#")[1:])
            call([mapfold, "cp", str(desk / local.split("#")[0]), far[what].split("#")[0]], env)
        for mode in args.modes.split(","):
            row = [names.get(store, store), mode]
            for job, words, folder in jobs(far):
                out = f"{root}/{mode}/{job}"
                try:
                    call([mapfold, "run", *words, "--out", out, "-q", *modes[mode].split()], env, desk)
                    row.append(compare(desk / job, out, folder, env))
                except RuntimeError as e:
                    row.append(str(e))
                bad += row[-1] != "identical"
            table.append(row)
            print(" | ".join(row), flush=True)
        call([mapfold, "rm", "-r", root], env)
    shutil.rmtree(desk)
    head = ["store", "mode", *(job for job, _, _ in jobs(given))]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *table]]
    if args.out:
        pathlib.Path(args.out).write_text("\n".join(lines) + "\n")
    sys.exit(bad > 0)


main()
