"""Jobs over records side by side with their peers: medians of CPU seconds (all processes), wall seconds, peak memory.

usage: records.py make FOLDER [--scale 1.0]        words.txt and tera (1 GB each), table.csv and table.parquet (10 M rows)
       records.py run FOLDER --mapfold BINARY [--only wordcount,sort,csv,parquet] [--repeat 3] [--threads 2] [--json FILE]
       records.py peer TOOL WORK FILE OUT THREADS  one job by one peer (what `run` starts)

Contenders take turns, after one reading of the input, so that all find it in the page cache. `inner` is the time of the
query alone, as a peer itself measures it; the other columns are whole processes, start-up and imports included. Every
result is compared with the first contender's by its number of rows or bytes. A tool that is not installed is named.
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
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (("words.txt", make_words), ("tera", make_tera)):
        if not (folder / name).exists():
            write(folder / name, int(1e9 * scale))
    if not (folder / "table.parquet").exists():
        # Its names are those of the kernels' benchmark.
        tables = [sys.executable, str(Path(__file__).with_name("tables.py"))]
        subprocess.run([*tables, "make", str(folder), str(int(1e7 * scale))], check=True)


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
        c.sql(f"copy (select k, avg(v), min(v), max(v), count(v) from '{path}' group by k order by k) to '{out}' (format csv)")


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
    c.sql("select k, avg(v), min(v), max(v), count(v) from t group by k order by k").to_pandas().to_csv(out, index=False)


def dask(work, path, out, threads):
    import dask
    import dask.dataframe as dd
    dask.config.set(scheduler="threads", num_workers=threads)
    table = dd.read_csv(path, usecols=["k", "v"]) if path.endswith("csv") else dd.read_parquet(path, columns=["k", "v"])
    table.groupby("k").v.agg(["mean", "min", "max", "count"]).compute().sort_index().to_csv(out)


def pyspark(work, path, out, threads):
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.master(f"local[{threads}]").getOrCreate()
    words = spark.sparkContext.textFile(path).flatMap(str.split).map(lambda w: (w, 1)).reduceByKey(int.__add__)
    Path(out).write_text("".join(f"{w}\t{n}\n" for w, n in sorted(words.collect())))


PEERS = dict(duckdb=duckdb, polars=polars, datafusion=datafusion, dask=dask, pyspark=pyspark)
WORK = {  # name: (file, ours, peers)
    "wordcount": ("words.txt", "wordcount {file} --out {out}", ["duckdb", "polars", "pyspark"]),
    "sort": ("tera", "sort {file} --format tera --out {out}", ["gnu sort", "duckdb"]),
    "parquet": ("table.parquet", "aggregate {file} --by k --agg v:mean,min,max,count --out {out}.csv",
                ["duckdb", "datafusion", "polars", "dask"]),
    "csv": ("table.csv", "aggregate {file} --by k --agg v:mean,min,max,count --out {out}.csv",
            ["duckdb", "datafusion", "polars", "dask"]),
}


def peer(tool, work, path, out, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    __import__(tool)  # Not part of the inner time.
    wall, cpu = time.monotonic(), time.process_time()
    PEERS[tool](work, path, out, int(threads))
    print(json.dumps(dict(inner_cpu=time.process_time() - cpu, inner_wall=time.monotonic() - wall)))


def commands(work, folder, a):
    name, ours, peers = WORK[work]
    file, out = folder / name, folder / "out"
    yield "mapfold", [a.mapfold, "run", *ours.format(file=file, out=out).split(), "--threads", str(a.threads), "-q"]
    yield "mapfold, 2 processes", [a.mapfold, "run", *ours.format(file=file, out=out).split(), "--mode", "pseudo",
                                   "--workers", "2", "--threads", "1", "-q"]
    for tool in peers:
        if tool == "gnu sort":
            yield tool, ["env", "LC_ALL=C", "sort", f"--parallel={a.threads}", "-S", "2G", "-o", str(out), str(file)]
        else:
            yield tool, [sys.executable, __file__, "peer", tool, work, str(file), str(out), str(a.threads)]


def result(folder):
    """Lines of the result, its header aside; the file or folder goes."""
    lines = 0
    for out in (folder / "out", folder / "out.csv"):
        files = sorted(p for p in out.iterdir() if p.name[0] != "_") if out.is_dir() else [out] if out.exists() else []
        lines += sum(file.read_bytes().count(b"\n") for file in files)
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    return lines


def run(folder, a):
    table = {}
    for work in a.only.split(",") if a.only else WORK:
        with open(folder / WORK[work][0], "rb") as f:
            while f.read(1 << 24):
                pass
        contenders, first = dict(commands(work, folder, a)), None
        for turn in range(a.repeat):
            for name in list(contenders) if turn % 2 == 0 else list(contenders)[::-1]:
                result(folder)
                got = measure.run(contenders[name])
                if got["rc"] != 0:
                    print(f"{work}: {name} left out: {got['said'].strip().splitlines()[-1:]}", file=sys.stderr)
                    del contenders[name]
                    continue
                lines = result(folder)
                first = first or lines
                if abs(lines - first) > 1:  # A header.
                    raise SystemExit(f"{work}: {name} gives {lines} lines, not {first}")
                if got["said"].startswith("{"):
                    got.update(json.loads(got["said"].splitlines()[0]))
                table.setdefault((work, name), []).append(got)
    show(table)
    if a.json:
        Path(a.json).write_text(json.dumps([dict(work=w, tool=t, runs=r) for (w, t), r in table.items()], indent=1))


def show(table):
    print("| | | CPU s | wall s | peak MB | inner CPU s | inner wall s |\n|---|---|---:|---:|---:|---:|---:|")
    for (work, name), runs in table.items():
        cell = lambda key, digits=2: (f"{statistics.median(r[key] for r in runs):.{digits}f}" if key in runs[0] else "")
        print(f"| {work} | {name} | {cell('cpu')} | {cell('wall')} | {cell('peak', 0)} | {cell('inner_cpu')} | {cell('inner_wall')} |")


def main():
    if sys.argv[1:2] == ["peer"]:
        return peer(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["make", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--mapfold")
    parser.add_argument("--only")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    a = parser.parse_args()
    make(a.folder, a.scale) if a.verb == "make" else run(a.folder, a)


if __name__ == "__main__":
    main()
