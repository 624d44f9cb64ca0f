"""Reading and grouping tables: CPU seconds of DuckDB, Polars and pyarrow on the files that `table_speed` reads.

usage: tables.py make FOLDER [ROWS]           makes table.csv and table.parquet: id, k (1000 distinct), s (text), v, w
       tables.py peers FOLDER                 CPU seconds, one thread each, best of three
Needs numpy, pyarrow, duckdb, polars. Ours: cargo run --release -p mapfold-records --example table_speed k v FILE...
"""
import json
import os
import subprocess
import sys
import time

THREADS = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}


def make(folder, rows):
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet
    rng = np.random.default_rng(42)
    k = rng.integers(0, 1000, rows)
    names = pa.array(np.char.add("station-", np.arange(1000).astype(str)))
    s = pa.DictionaryArray.from_arrays(pa.array(k.astype(np.int32)), names).cast(pa.string())
    v, w = np.round(rng.normal(12, 8, rows), 3), rng.random(rows)
    table = pa.table(dict(id=pa.array(np.arange(rows)), k=pa.array(k), s=s, v=pa.array(v), w=pa.array(w)))
    pa.parquet.write_table(table, f"{folder}/table.parquet")
    pa.csv.write_csv(table, f"{folder}/table.csv")


def duckdb(path, key, aggregate):
    import duckdb
    connection = duckdb.connect(config={"threads": 1})
    if aggregate:
        query = f"select {key}, avg(v), min(v), max(v), count(v) from '{path}' group by {key}"
        assert len(connection.sql(query).fetchall()) == 1000
    else:
        connection.sql(f"select {key}, v from '{path}'").to_arrow_table()


def polars(path, key, aggregate):
    import polars as pl
    scan = (pl.scan_csv if path.endswith("csv") else pl.scan_parquet)(path)
    v = pl.col("v")
    columns = [v.mean().alias("a"), v.min().alias("b"), v.max().alias("c"), v.count().alias("d")]
    query = scan.group_by(key).agg(columns) if aggregate else scan.select(key, "v")
    assert query.collect().height >= 1000


def pyarrow(path, key, aggregate):
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet
    pa.set_cpu_count(1)
    if path.endswith("csv"):
        convert = pa.csv.ConvertOptions(include_columns=[key, "v"])
        table = pa.csv.read_csv(path, read_options=pa.csv.ReadOptions(use_threads=False), convert_options=convert)
    else:
        table = pa.parquet.read_table(path, columns=[key, "v"], use_threads=False)
    if aggregate:
        wanted = [("v", "mean"), ("v", "min"), ("v", "max"), ("v", "count")]
        assert table.group_by(key, use_threads=False).aggregate(wanted).num_rows == 1000


def one(tool, path, key, aggregate):
    run, best = globals()[tool], None
    for _ in range(3):
        start = time.process_time()
        run(path, key, aggregate)
        used = time.process_time() - start
        best = used if best is None else min(best, used)
    print(json.dumps(best))


def peers(folder):
    for kind in ["csv", "parquet"]:
        for key in ["k", "s"]:
            for what in ["decode", "aggregate"]:
                cells = []
                for tool in ["duckdb", "polars", "pyarrow"]:
                    command = [sys.executable, __file__, "one", tool, f"{folder}/table.{kind}", key, what]
                    seconds = json.loads(subprocess.check_output(command, env=os.environ | THREADS))
                    cells.append(f"{tool} {seconds:.3f}")
                print(f"{kind} {key} {what}: {', '.join(cells)}", flush=True)


match sys.argv[1:]:
    case ["make", folder, *rows]:
        make(folder, int(rows[0]) if rows else 10_000_000)
    case ["peers", folder]:
        peers(folder)
    case ["one", tool, path, key, what]:
        one(tool, path, key, what == "aggregate")
    case _:
        sys.exit(__doc__)
