"""Our tables beside pandas and pyarrow: reading CSV and Parquet, writing both, grouping.

usage: tables.py PROGRAM          the example `table_of` of mapfold-records; needs numpy, pandas, pyarrow

Random tables with nulls, quotes, text that is no ASCII and several key columns. Numbers are compared as they are, means and
deviations to 1e-12 (pandas rounds on the way). Prints one JSON object; exit 0 = equal, 1 = not.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

KINDS = ["mean", "min", "max", "count", "sum", "std", "nunique"]
WORDS = ["a", "b,c", 'say "x"', "été", " padded ", "007", "x" * 40, None]


def table(seed, rows):
    rng = np.random.default_rng(seed)
    holes = lambda values: pd.Series(values).mask(rng.random(rows) < 0.1)  # noqa: E731
    return pd.DataFrame(dict(
        n=holes(rng.integers(-5, 5, rows)).astype("Int64"),
        word=rng.choice(np.array(WORDS, dtype=object), rows),
        x=holes(np.round(rng.normal(10, 5, rows), rng.integers(1, 6))),
        big=pd.Series(rng.integers(-2**40, 2**40, rows))))


def ours(program, *arguments):
    subprocess.run([program, *map(str, arguments)], check=True)


def same(mine, theirs, what):
    """None, or how two frames differ."""
    mine, theirs = (f.astype({"n": "Int64"} if "n" in f else {}).reset_index(drop=True) for f in (mine, theirs))
    try:
        pd.testing.assert_frame_equal(mine, theirs, check_dtype=False, rtol=1e-12, atol=0)
    except AssertionError as error:
        return f"{what}: {error}"
    return None


def grouped(frame, keys, column):
    groups = frame.groupby(keys, dropna=False)[column]
    out = groups.agg(KINDS).reset_index()
    return out.rename(columns={kind: f"{column}_{kind}" for kind in KINDS})


def by_key(frame, keys):
    return frame.sort_values(keys, na_position="last", key=lambda c: c if c.dtype.kind in "iuf" else c.astype("string"))


def compare(program, folder, seed):
    frame, faults = table(seed, 400), []
    paths = {kind: folder / f"{seed}.{kind}" for kind in ["csv", "parquet"]}
    frame.to_csv(paths["csv"], index=False)
    frame.to_parquet(paths["parquet"], row_group_size=150)
    back = folder / "back.parquet"
    for kind, path in paths.items():
        ours(program, "convert", path, back)
        if pq.ParquetFile(back).metadata.num_row_groups != 4:
            faults.append(f"{seed} {kind}: row groups")
        faults.append(same(pd.read_parquet(back), frame, f"{seed} {kind} to parquet"))
        ours(program, "convert", path, folder / "back.csv")
        read = pd.read_csv(folder / "back.csv", dtype={"word": object})
        faults.append(same(read, frame, f"{seed} {kind} to csv"))
        for keys in (["n"], ["word"], ["word", "n"]):
            for column in ("x", "big"):
                ours(program, "group", path, back, ",".join(keys), f"{column}:{','.join(KINDS)}")
                theirs = by_key(grouped(frame, keys, column), keys)
                faults.append(same(by_key(pd.read_parquet(back), keys), theirs, f"{seed} {kind} {keys} {column}"))
    return [fault for fault in faults if fault]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        faults = [fault for seed in range(10) for fault in compare(sys.argv[1], Path(folder), seed)]
    print(json.dumps(dict(tables=10, comparisons=10 * 2 * (2 + 6), faults=faults[:5]), indent=1))
    sys.exit(bool(faults))


main()
