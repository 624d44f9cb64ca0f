"""Jobs over records side by side with their peers: medians of CPU seconds (all processes), wall seconds, memory.

usage: records.py make FOLDER [--scale 1.0]        words.txt and tera (1 GB each), table.csv and table.parquet (10 M rows)
       records.py run FOLDER --tools TARGET [--only wordcount,sort,parquet,csv] [--repeat 3] [--threads 2] [--json FILE]
       records.py peer TOOL WORK FILE OUT THREADS  one job by one peer (what `run` starts)

TARGET is the folder of the release build (mapfold, examples/sort_floor). Contenders take turns, after one reading of the
input, so that all find it in the page cache; slow ones (pyspark) run once. `inner` is the time of the query alone, as
the tool itself measures it; the other columns are whole processes, start-up and imports included. Memory is the highest
VmHWM of one process. Every result is compared with the first contender's: number of lines, and their sum of hashes where
the formats are alike. A tool that is not there is named and left out.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import measure

RECORD = 100
HERE = Path(__file__).resolve().parent


def make_words(path, size):
    """Words with Zipf's frequencies, about 100,000 different ones, lines of 12."""
    import numpy as np
    rng = np.random.default_rng(1)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", dtype="u1")
    words = [bytes(rng.choice(letters, 2 + int(np.log2(i + 2) / 2) + rng.integers(0, 4))).decode() for i in range(100_000)]
    with open(path, "w") as out:
        while out.tell() < size:
            picks = np.minimum((10 ** (5 * rng.random(1_200_000))).astype(int), 99_999).reshape(-1, 12)
            out.write("".join(" ".join([words[i] for i in row]) + "\n" for row in picks.tolist()))


def make_tera(path, size):
    """Keys of ten random printable bytes, so that line tools can sort them too; 100 bytes a record with its newline."""
    import numpy as np
    rng = np.random.default_rng(2)
    with open(path, "wb") as out:
        for start in range(0, size // RECORD, 500_000):
            rows = min(500_000, size // RECORD - start)
            block = rng.integers(65, 91, (rows, RECORD), dtype="u1")
            block[:, :10] = rng.integers(33, 127, (rows, 10), dtype="u1")
            block[:, 99] = 10
            out.write(block.tobytes())


def make(folder, scale):
    """Whole or not at all: a file appears under its name when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (("words.txt", make_words), ("tera", make_tera)):
        if not (folder / name).exists():
            write(folder / f"{name}.part", int(1e9 * scale))
            (folder / f"{name}.part").rename(folder / name)
    if not (folder / "table.parquet").exists():
        part = folder / "part"
        part.mkdir(exist_ok=True)
        # Its names are those of the kernels' benchmark.
        subprocess.run([sys.executable, str(HERE / "tables.py"), "make", str(part), str(int(1e7 * scale))], check=True)
        (part / "table.csv").rename(folder / "table.csv")
        (part / "table.parquet").rename(folder / "table.parquet")
        part.rmdir()


SQL = "select k, avg(v), min(v), max(v), count(v) from {table} group by k order by k"


def duckdb(work, path, out, threads):
    import duckdb
    c = duckdb.connect(config={"threads": threads})
    lines = f"read_csv('{path}', header=false, columns={{'l': 'VARCHAR'}}, delim='\x01', quote='', escape='', auto_detect=false)"
    if work == "wordcount":
        c.sql(f"copy (select w, count(*) from (select unnest(string_split(l, ' ')) w from {lines}) group by w order by w)"
              f" to '{out}' (delimiter '\t', header false)")
    elif work == "sort":
        c.sql(f"copy (select l from {lines} order by l) to '{out}' (header false, quote '')")
    else:
        query = SQL.format(table=f"'{path}'")
        c.sql(f"copy ({query}) to '{out}' (format csv)")


def polars(work, path, out, threads):
    import polars as pl
    if work == "wordcount":
        lines = pl.scan_csv(path, has_header=False, new_columns=["l"], separator="\x01", quote_char=None)
        words = lines.select(pl.col("l").str.split(" ").explode().alias("w")).group_by("w").len().sort("w")
        words.collect(engine="streaming").write_csv(out, include_header=False, separator="\t")
    else:
        scan = (pl.scan_csv if path.endswith("csv") else pl.scan_parquet)(path)
        v = pl.col("v")
        columns = [v.mean().alias("a"), v.min().alias("b"), v.max().alias("c"), v.count().alias("d")]
        scan.group_by("k").agg(columns).sort("k").collect(engine="streaming").write_csv(out)


def datafusion(work, path, out, threads):
    import datafusion
    c = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(threads))
    (c.register_csv if path.endswith("csv") else c.register_parquet)("t", path)
    c.sql(SQL.format(table="t")).to_pandas().to_csv(out, index=False)


def sedonadb(work, path, out, threads):
    import sedonadb
    c = sedonadb.connect()
    if path.endswith("csv"):
        c.sql(f"create external table t stored as csv location '{path}' options ('format.has_header' 'true')").execute()
    else:
        c.read_parquet(path).to_view("t")
    c.sql(f"set datafusion.execution.target_partitions = {threads}").execute()
    c.sql(SQL.format(table="t")).to_pandas().to_csv(out, index=False)


def dask(work, path, out, threads):
    import dask
    import dask.dataframe as dd
    dask.config.set(scheduler="threads", num_workers=threads)
    table = dd.read_csv(path, usecols=["k", "v"]) if path.endswith("csv") else dd.read_parquet(path, columns=["k", "v"])
    table.groupby("k").v.agg(["mean", "min", "max", "count"]).compute().sort_index().to_csv(out)


def pyspark(work, path, out, threads):
    """As Spark's own pages write it: the DataFrame way, which stays in the JVM."""
    from pyspark.sql import SparkSession, functions as f
    builder = SparkSession.builder.master(f"local[{threads}]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.memory", "4g").config("spark.log.level", "ERROR").getOrCreate()
    words = spark.read.text(path).select(f.explode(f.split("value", " ")).alias("w"))
    counts = words.groupBy("w").count().orderBy("w").collect()
    Path(out).write_text("".join(f"{w}\t{n}\n" for w, n in counts))
    spark.stop()


PEERS = dict(duckdb=duckdb, polars=polars, datafusion=datafusion, sedonadb=sedonadb, dask=dask, pyspark=pyspark)
ONCE = ["pyspark"]  # A minute of a turn: one is enough to see where it stands.
AGGREGATE = "aggregate {file} --by k --agg v:mean,min,max,count --out {out}.csv"
WORK = {  # name: (file, ours, peers)
    "wordcount": ("words.txt", "wordcount {file} --out {out}", ["duckdb", "polars", "pyspark"]),
    "sort": ("tera", "sort {file} --format tera --out {out}", ["floor", "gnu sort", "duckdb"]),
    "parquet": ("table.parquet", AGGREGATE, ["duckdb", "datafusion", "polars", "sedonadb", "dask"]),
    "csv": ("table.csv", AGGREGATE, ["duckdb", "datafusion", "polars", "sedonadb", "dask"]),
}


def peer(tool, work, path, out, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    __import__(tool)  # Not part of the inner time.
    wall, cpu = time.monotonic(), time.process_time()
    PEERS[tool](work, path, out, int(threads))
    inner = time.process_time() - cpu
    told = dict(inner_wall=time.monotonic() - wall)
    if tool != "pyspark":  # Its work is in another process.
        told["inner_cpu"] = inner
    print(json.dumps(told))


def commands(work, folder, a):
    name, ours, peers = WORK[work]
    file, out, mapfold = folder / name, folder / "out", str(a.tools / "mapfold")
    line = [mapfold, "run", *ours.format(file=file, out=out).split(), "--json", "--quiet"]
    yield "mapfold", [*line, "--threads", str(a.threads)]
    yield "mapfold, 2 processes", [*line, "--mode", "pseudo", "--workers", "2", "--threads", "1"]
    for tool in peers:
        if tool == "gnu sort":
            yield tool, ["env", "LC_ALL=C", "sort", f"--parallel={a.threads}", "-S", "2G", "-o", str(out), str(file)]
        elif tool == "floor":
            yield "read + radix sort + write", [str(a.tools / "examples/sort_floor"), str(file), str(out), str(a.threads)]
        else:
            python = a.more if tool in ("pyspark", "sedonadb") and a.more else sys.executable
            yield tool, [python, __file__, "peer", tool, work, str(file), str(out), str(a.threads)]


def result(folder, digest):
    """Lines of the result, its header aside, and what of them is alike for all; the file or folder goes."""
    lines, total = 0, 0
    for out in (folder / "out", folder / "out.csv"):
        files = sorted(p for p in out.iterdir() if p.name[0] != "_") if out.is_dir() else [out] if out.exists() else []
        for file in files:
            data = file.read_bytes()
            lines += data.count(b"\n")
            total += sum(map(hash, data.splitlines())) if digest else 0
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    return lines, total


def inner(said):
    """What a tool tells of its query alone: a line of JSON."""
    try:
        told = json.JSONDecoder().raw_decode(said, said.index("{"))[0]
    except ValueError:
        return {}
    if "run" in told:
        run = told["run"]
        return dict(inner_wall=run["wall_seconds"], inner_cpu=run["user_seconds"] + run["sys_seconds"])
    return told


def run(folder, a):
    table = {}
    for work in a.only.split(",") if a.only else WORK:
        with open(folder / WORK[work][0], "rb") as f:
            while f.read(1 << 24):
                pass
        contenders, first = dict(commands(work, folder, a)), None
        for turn in range(a.repeat):
            for name in list(contenders) if turn % 2 == 0 else list(contenders)[::-1]:
                if turn > 0 and name in ONCE:
                    continue
                result(folder, False)
                got = measure.run(contenders[name], keep=1 << 20)
                if got["rc"] != 0:
                    print(f"{work}: {name} left out: {got['said'].strip().splitlines()[-1:]}", file=sys.stderr)
                    del contenders[name]
                    continue
                lines = result(folder, work in ("wordcount", "sort") and turn == 0)
                first = first or lines
                if abs(lines[0] - first[0]) > 1 or (turn == 0 and lines[1] != first[1]):  # A header.
                    raise SystemExit(f"{work}: {name} gives {lines}, not {first}")
                got.update(inner(got.pop("said")))
                table.setdefault((work, name), []).append(got)
                print(f"{work}: {name}: {got['cpu']:.2f} CPU s, {got['wall']:.2f} s", file=sys.stderr)
    show(table)
    if a.json:
        Path(a.json).write_text(json.dumps([dict(work=w, tool=t, runs=r) for (w, t), r in table.items()], indent=1))


def show(table):
    print("| job | tool | CPU s | wall s | MB of one process | inner CPU s | inner wall s |\n|---|---|---:|---:|---:|---:|---:|")
    for (work, name), runs in table.items():
        cell = lambda key, digits=2: (f"{statistics.median(r[key] for r in runs):.{digits}f}" if key in runs[0] else "")
        cells = [cell("cpu"), cell("wall"), cell("largest", 0), cell("inner_cpu"), cell("inner_wall")]
        print(f"| {work} | {name} | {' | '.join(cells)} |")


def main():
    if sys.argv[1:2] == ["peer"]:
        return peer(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["make", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--tools", type=Path)
    parser.add_argument("--more", help="the python that has pyspark and sedonadb, where that is another one")
    parser.add_argument("--only")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    a = parser.parse_args()
    make(a.folder, a.scale) if a.verb == "make" else run(a.folder, a)


if __name__ == "__main__":
    main()
