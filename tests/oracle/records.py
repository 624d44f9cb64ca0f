"""The jobs over records beside pandas and plain Python: aggregate, wordcount, sort.

usage: records.py PROGRAM        mapfold; needs numpy, pandas, pyarrow (tests/env/requirements-tables.txt)

Random tables as CSV and Parquet: text with quotes, commas, nulls and letters of all lengths, nullable integers, booleans, dates
as text, floats with NaN, infinities and values of very different size. One, two and three key columns; outputs are one
file, a folder, and the printed report, made by one process and by two. Counts, extremes, sums of integers and distinct
values must be equal, other sums, means and deviations to 1e-12 (pandas rounds on the way). Words and lines have bytes
that are no UTF-8, all line ends that there are, blanks of all kinds, and no end at the last line.
Prints one JSON object; exit 0 = equal, 1 = not.
"""
import json
import math
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

KINDS = ["mean", "min", "max", "count", "sum", "std", "nunique"]
WORDS = ["a", "b,c", 'say "x"', "été", " padded ", "007", "x" * 40, "zero\x01one", "", None]
MODES = ["--threads 1", "--threads 3", "--mode pseudo --workers 2 --threads 1"]


def run(program, line, *more):
    done = subprocess.run([program, "run", *line.split(), *map(str, more)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{line} {more}: {done.stderr}")
    return done.stdout


def table(seed, rows, kind):
    """Columns of keys k, n, b, d and of values x, f, i, u. An empty text is null in CSV, so there is none there."""
    rng = np.random.default_rng(seed)
    holes = lambda values, dtype: pd.array(np.where(rng.random(rows) < 0.1, None, values), dtype=dtype)  # noqa: E731
    words = [w for w in WORDS if w != "" or kind == "parquet"]
    x = rng.normal(10, 5, rows) * 10.0 ** rng.integers(-12, 12, rows)
    x[rng.random(rows) < 0.05] = np.nan
    x[rng.random(rows) < 0.02] = -0.0
    if seed % 3 == 0:
        x[rng.random(rows) < 0.01] = np.inf
    f = rng.normal(0, 1, rows).astype("f4")
    if kind == "csv":
        f = np.array([float(str(v)) for v in f])  # as its digits are read
    days = pd.Timestamp("2024-02-27") + pd.to_timedelta(rng.integers(0, 5, rows), unit="D")
    return pd.DataFrame(dict(
        k=pd.Series(rng.choice(np.array(words, dtype=object), rows), dtype=object),
        n=holes(rng.integers(-5, 5, rows), "Int64"),
        b=holes(rng.random(rows) < 0.5, "boolean"),
        d=pd.Series(days.strftime("%Y-%m-%d"), dtype=object),
        x=x,
        f=f,
        i=holes(rng.integers(-2**40, 2**40, rows), "Int64"),
        u=rng.integers(0, 200, rows).astype("u1")))


def save(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, lineterminator="\n")
    else:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=150)


def by_pandas(frame, keys, values):
    frame = frame.assign(x=frame.x + 0.0, f=frame.f.astype("f8"))  # -0 and 0 are one value
    groups = frame.groupby(keys, dropna=False, sort=False)
    out = {f"{c}_{kind}": groups[c].agg(kind) for c in values for kind in KINDS}
    return pd.DataFrame(out).reset_index()


def rows_of(frame, keys, columns):
    """Rows as plain values, None for null and NaN, in the order of keys: integers by value, text by bytes, null last."""
    def plain(v):
        if v is None or v is pd.NA or (isinstance(v, float) and math.isnan(v)):
            return None
        return v.item() if isinstance(v, np.generic) else v

    rows = [[plain(v) for v in row] for row in frame[keys + columns].itertuples(index=False, name=None)]
    order = lambda v: (v is None, v.encode() if isinstance(v, str) else 0 if v is None else v)  # noqa: E731
    return sorted(rows, key=lambda row: [order(v) for v in row[:len(keys)]])


def near(a, b, name):
    if a is None or b is None or isinstance(a, str) or name.endswith(("_count", "_nunique", "_min", "_max")):
        return a == b
    if name == "i_sum" or name == "u_sum":
        return int(a) == int(b)
    if math.isinf(a) or math.isinf(b):
        return a == b
    return math.isclose(a, b, rel_tol=1e-9 if name.endswith("_std") else 1e-12, abs_tol=1e-300)


def compare(mine, theirs, keys, columns, what):
    if len(mine) != len(theirs):
        return f"{what}: {len(mine)} groups, pandas has {len(theirs)}"
    for a, b in zip(mine, theirs):
        for name, x, y in zip(keys + columns, a, b):
            if not near(x, y, name):
                return f"{what}: {name} of {a[:len(keys)]} is {x!r}, pandas has {y!r}"
    return None


def read(path):
    """A result: one file, or the parts of a folder."""
    files = sorted(p for p in path.iterdir() if p.name[0] != "_") if path.is_dir() else [path]
    typed = dict(k=object, n="Int64", b="boolean", d=object, i_min="Int64", i_max="Int64", i_sum="Int64")
    one = lambda p: (pd.read_parquet(p, dtype_backend="numpy_nullable") if p.suffix == ".parquet" else  # noqa: E731
                     pd.read_csv(p, dtype=typed, keep_default_na=False, na_values=["", "NaN"], float_precision="round_trip"))
    return pd.concat([one(p) for p in files], ignore_index=True), files


def aggregates(program, folder, seed):
    faults, checks = [], 0
    for kind in ["csv", "parquet"]:
        frame = table(seed, 700, kind)
        path = folder / f"{seed}.{kind}"
        save(frame, path)
        for keys in (["k"], ["n"], ["b", "d"], ["d", "k", "n"]):
            values = ["x", "f", "i", "u"]
            theirs = rows_of(by_pandas(frame, keys, values), keys, columns := [f"{c}_{k}" for c in values for k in KINDS])
            wanted = [w for c in values for w in ("--agg", f"{c}:{','.join(KINDS)}")]
            for number, mode in enumerate(MODES):
                # In a CSV an empty text and null are alike.
                out = folder / [f"out.{kind}", "out.parquet", "out"][(number + seed) % 3]
                split = ["--split-size", "4096"] if kind == "csv" else []
                parts = f"--part-format {kind}"
                line = f"aggregate {path} --by {','.join(keys)} --out {out} --overwrite -q {parts} {mode}"
                run(program, line, *wanted, *split)
                mine, files = read(out)
                what = f"seed {seed}, {kind}, by {keys}, {out.name}, {mode}"
                if len(files) == 1 and rows_of(mine, keys, columns) != [
                        [None if v is None or v is pd.NA or v != v else v for v in row]
                        for row in mine[keys + columns].astype(object).itertuples(index=False, name=None)]:
                    faults.append(f"{what}: not sorted")
                faults.append(compare(rows_of(mine, keys, columns), theirs, keys, columns, what))
                checks += 1
            told = json.loads(run(program, f"aggregate {path} --by {','.join(keys)} --json", *wanted))
            told = pd.DataFrame(told["groups"], columns=keys + columns, dtype=object)
            told = told.map(lambda v: math.inf if v == "inf" else v)
            faults.append(compare(rows_of(told, keys, columns), theirs, keys, columns, f"seed {seed}, {kind}, by {keys}, printed"))
            checks += 1
    return checks, [fault for fault in faults if fault]


def nasty(seed, size):
    """Bytes with all kinds of blanks and line ends."""
    rng = random.Random(seed)
    words = [bytes(rng.randrange(33, 256) for _ in range(rng.randrange(1, 24))) for _ in range(300)]
    ends = [b"\n", b"\r\n", b"\r", b" ", b"\t", b"\x0c", b"  ", b"\n\n"]
    text = b"".join(rng.choice(words) + rng.choice(ends) for _ in range(size))
    return text + b"the end"


def parts(folder):
    return b"".join(p.read_bytes() for p in sorted(folder.iterdir()) if p.name.startswith("part-"))


def texts(program, folder, seed):
    faults, text = [], nasty(seed, 4000)
    (folder / "text").write_bytes(text)
    words = Counter(re.split(rb"[ \t\n\r\f]+", text)) - Counter([b""])
    counted = sorted(b"%s\t%d\n" % item for item in words.items())
    lines = sorted(re.split(rb"\r\n|\n|\r", text))
    sorted_lines = b"".join(line + b"\n" for line in lines)
    for mode in MODES:
        run(program, f"wordcount {folder}/text --out {folder}/words --overwrite -q --split-size 4096 {mode}")
        if sorted(parts(folder / "words").splitlines(keepends=True)) != counted:
            faults.append(f"seed {seed}, wordcount {mode}")
        run(program, f"sort {folder}/text --out {folder}/sorted --overwrite -q --split-size 4096 {mode}")
        if parts(folder / "sorted") != sorted_lines:
            faults.append(f"seed {seed}, sort {mode}")
    return 2 * len(MODES), faults


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    checks, faults = 0, []
    for seed in range(3):
        for look in (aggregates, texts):
            with tempfile.TemporaryDirectory() as folder:
                done, found = look(sys.argv[1], Path(folder), seed)
            checks, faults = checks + done, faults + found
    print(json.dumps(dict(comparisons=checks, faults=faults[:8]), indent=1))
    sys.exit(bool(faults))


main()
