#!/usr/bin/env python3
"""Predicted against measured memory, over sizes, types, bands, threads and formats, as a table.

The law (tests/tests/memory.rs holds it for a few cells): measured <= predicted <= 1.25 x measured + 48 MiB. Measured is
the system's high-water mark of the process (VmHWM), as `--json` repeats it. Inputs are tiled GeoTIFFs of 256, DEFLATE
1, of noise over a slope, so that they compress by about a third; they are kept under --data.

usage: memory.py --mapfold BINARY --data DIR [--only 'ndvi 512'] [--limit 4096] [--json FILE]
exit status: 1 when a cell breaks the law
"""
import argparse
import itertools
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

MIB = 1 << 20
SIZES, TYPES, BANDS, THREADS = (64, 512, 2048, 5490), ("uint8", "uint16", "float32"), (1, 8), (1, 2, 8)
MOST_PIXELS = 130_000_000  # of all bands of an input
# Further ways to run ndvi at 2048 and 5490, uint16, one band
MORE = ("--tile 512", "--chunks native", "--chunks 64,64", "--dtype uint8", "--dtype int16 --nodata -32768",
        "--compress deflate", "--compress none", "--overviews 2 --format gtiff")


def scene(folder, size, dtype, bands):
    """A raster of `bands` bands; made when it is not there."""
    path = folder / f"{size}-{dtype}-{bands}.tif"
    if path.exists():
        return path
    rng = np.random.default_rng(size + bands)
    top = dict(uint8=160, uint16=9000, float32=1)[dtype]
    slope = np.linspace(0.1 * top, top, size)
    profile = dict(driver="GTiff", width=size, height=size, count=bands, dtype=dtype, crs="EPSG:32633", tiled=True,
                   blockxsize=256, blockysize=256, compress="deflate", zlevel=1, predictor=3 if dtype == "float32" else 2,
                   nodata=0, transform=from_origin(600000, 5100000, 10, 10), interleave="band")
    part = path.with_suffix(".part")
    with rasterio.open(part, "w", **profile) as out:
        for band in range(1, bands + 1):
            noise = rng.normal(0, top / 20, (size, size)).astype("f4")
            out.write(np.clip(noise + slope[None, :], top / 1000, None).astype(dtype), band)
    part.rename(path)
    return path


def cells():
    """(size, dtype, bands, threads, job, options)"""
    for size, dtype, bands, threads in itertools.product(SIZES, TYPES, BANDS, THREADS):
        if size * size * bands <= MOST_PIXELS:
            yield size, dtype, bands, threads, "stats", ""
            yield size, dtype, bands, threads, "ndvi", "--format gtiff"
            yield size, dtype, bands, threads, "ndvi", "--format cog"
    for size, threads, options in itertools.product((2048, 5490), (1, 2), MORE):
        yield size, "uint16", 1, threads, "ndvi", options


def measure(a, cell, scratch):
    size, dtype, bands, threads, job, options = cell
    path = scene(Path(a.data), size, dtype, bands)
    # With red = nir the index would be 0 everywhere, which packs to nothing.
    nir = path if bands > 1 else scene(Path(a.data), size, dtype, 2)
    inputs = f"{path}" if job == "stats" else f"--red {path}#1 --nir {nir}#2 --out {scratch}/out.tif"
    line = f"{a.mapfold} run {job} {inputs} --threads {threads} {options} --memory-limit {a.limit}MiB --json"
    done = subprocess.run(shlex.split(line + (" --overwrite" if job == "ndvi" else "")), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{line}\n{done.stdout}{done.stderr}")
    memory = json.loads(done.stdout)["run"]["memory"]
    return memory["peak_bytes"] / MIB, memory["predicted_bytes"] / MIB


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mapfold", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--only", default="", help="cells whose line begins so")
    p.add_argument("--limit", type=int, default=4096, help="--memory-limit in MiB")
    p.add_argument("--json")
    a = p.parse_args()
    Path(a.data).mkdir(parents=True, exist_ok=True)
    rows, broken = [], 0
    print("| run | measured MiB | predicted MiB | law |\n|---|---:|---:|---|")
    with tempfile.TemporaryDirectory(dir=a.data) as scratch:
        for cell in cells():
            size, dtype, bands, threads, job, options = cell
            name = f"{job} {size} {dtype} x {bands}, {threads} threads {options}".strip()
            if not name.startswith(a.only):
                continue
            got, told = measure(a, cell, scratch)
            verdict = "low" if told < got else "high" if told > 1.25 * got + 48 else ""
            broken += bool(verdict)
            rows.append(dict(run=name, measured=got, predicted=told, verdict=verdict))
            print(f"| {name} | {got:.1f} | {told:.1f} | {verdict} |", flush=True)
    print(f"\n{len(rows)} cells, {broken} outside the law", file=sys.stderr)
    if a.json:
        Path(a.json).write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
