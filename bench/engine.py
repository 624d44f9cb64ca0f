"""What the engine costs by itself: exchange, splits, a second process. Medians of interleaved runs.

usage: engine.py FOLDER --tools TARGET [--only exchange,splits,processes] [--repeat 3] [--quick]

TARGET is the folder of the release build (mapfold, examples/shuffled, examples/splits). FOLDER has table.csv of records.py
and is written to. CPU is that of all processes; what is not the matter itself (making records, starting up) is measured
beside it and taken off where the table says so.

exchange    CPU seconds per 10^9 bytes of records of 100 bytes: put, spread, sent, sorted and read, making them taken off;
            and of it what the way between two processes costs, that is, what it takes above one process
splits      microseconds of a split that writes eight bytes into one file: lease, grant, stream, log on disk, layout
processes   two processes of one thread against one: summed CPU, and wall
"""
import argparse
import shutil
import sys
from pathlib import Path

import measure

PAIR = ["--mode", "pseudo", "--workers", "2", "--threads", "1"]


def exchange(a):
    mib = 256 if a.quick else 2048
    size = [str(a.tools / "examples/shuffled"), "--splits", str(mib // 16), "--mib", "16", "--partitions", "32", "--quiet"]
    size += ["--scratch", str(a.folder)]
    got = measure.turns({
        "making the records": [*size, "--threads", "2", "--generate-only"],
        "in one process": [*size, "--threads", "2"],
        "in one process, through files": [*size, "--threads", "2", "--shuffle", "durable"],
        "between 2 processes, in memory": [*size, *PAIR, "--shuffle", "pipelined"],
        "between 2 processes, through files": [*size, *PAIR, "--shuffle", "durable"],
    }, a.repeat)
    made, gb = got.pop("making the records")["cpu"], mib * 1048576e-9
    inside = got["in one process"]["cpu"]
    print(f"\n| {mib} MiB of records of 100 bytes, 32 partitions | wall s | CPU s | CPU s per GB | of it the way |")
    print("|---|---:|---:|---:|---:|")
    for name, run in got.items():
        way = f"{(run['cpu'] - inside) / gb:.2f}" if name != "in one process" else ""
        print(f"| {name} | {run['wall']:.2f} | {run['cpu']:.2f} | {(run['cpu'] - made) / gb:.2f} | {way} |")


def splits(a):
    count, out = 10_000 if a.quick else 100_000, a.folder / "numbers"
    line = [str(a.tools / "examples/splits"), "--out", str(out), "--quiet"]

    def clean(_=None):
        out.unlink(missing_ok=True)
        shutil.rmtree(a.folder / ".numbers.mapfold", ignore_errors=True)

    many, few = ["--count", str(count)], ["--count", "10"]
    got = measure.turns({
        "1 process, 2 threads": [*line, *many, "--threads", "2"],
        "2 members of 1 thread": [*line, *many, *PAIR],
        "1 process, 10 splits": [*line, *few, "--threads", "2"],
        "2 members, 10 splits": [*line, *few, *PAIR],
    }, a.repeat, clean)
    clean()
    print(f"\n| {count} splits, each with a part of the output | wall s | CPU s | wall us a split | CPU us a split |")
    print("|---|---:|---:|---:|---:|")
    for name, base in (("1 process, 2 threads", "1 process, 10 splits"), ("2 members of 1 thread", "2 members, 10 splits")):
        run, idle = got[name], got[base]
        each = [(run[key] - idle[key]) / count * 1e6 for key in ("wall", "cpu")]
        print(f"| {name} | {run['wall']:.2f} | {run['cpu']:.2f} | {each[0]:.1f} | {each[1]:.1f} |")


def linked(folder, times):
    """A folder with many names of one table: as much work as so many files, and one in the page cache."""
    links = folder / f"links-{times}"
    links.mkdir(exist_ok=True)
    for i in range(times):
        link = links / f"{i}.csv"
        if not link.exists():
            link.hardlink_to(folder / "table.csv")
    return links


def scene(a, size):
    made = a.folder / f"scene-{size}"
    if not (made / "complete").exists():
        shutil.rmtree(made, ignore_errors=True)
        got = measure.run([str(a.tools / "mapfold"), "gen", "scene", str(made), "--size", str(size), "--bands", "B04,B08"])
        if got["rc"]:
            sys.exit(got["said"])
        (made / "complete").touch()
    band = lambda name: str(next(p for p in made.rglob("*.tif") if name in p.name))  # noqa: E731
    return band("B04"), band("B08")


def processes(a):
    mapfold, out = str(a.tools / "mapfold"), a.folder / "out"
    red, nir = scene(a, 2048 if a.quick else 10980)
    ndvi = [mapfold, "run", "ndvi", "--red", red, "--nir", nir, "--format", "gtiff", "--compress", "deflate", "--level", "6"]
    links = linked(a.folder, 4 if a.quick else 40)
    table = [mapfold, "run", "aggregate", str(links), "--by", "k", "--agg", "v:mean,min,max,count,std"]
    print("\n| two processes of one thread against one | CPU s of 1 | CPU s of 2 | ratio | wall s of 1 | wall s of 2 | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for what, line in (("NDVI, deflate 6", [*ndvi, "--out", f"{out}.tif"]), ("aggregate of CSV", [*table, "--out", f"{out}.csv"])):
        line += ["--overwrite", "-q"]
        got = measure.turns({"one": [*line, "--threads", "1"], "two": [*line, *PAIR]}, a.repeat)
        one, two = got["one"], got["two"]
        cells = [f"{one[key]:.2f} | {two[key]:.2f} | {two[key] / one[key]:.2f}" for key in ("cpu", "wall")]
        print(f"| {what} | {' | '.join(cells)} |", flush=True)
        for end in ("tif", "csv"):
            Path(f"{out}.{end}").unlink(missing_ok=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--tools", type=Path, required=True)
    p.add_argument("--only", default="exchange,splits,processes")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--quick", action="store_true")
    a = p.parse_args()
    for part in a.only.split(","):
        dict(exchange=exchange, splits=splits, processes=processes)[part](a)


if __name__ == "__main__":
    main()
