"""What a run costs before and beside its work: start-up, empty splits, planning, memory under a tight limit.

usage: start.py --tools TARGET --data DIR [--repeat 9]

TARGET is the folder of the release build (mapfold, mapfold-trial); DIR has the scene `d10980` of scene.py.

start     the whole process, from its start to its end: `--version`, and `stats` of one file of one block, which is read,
          decoded and reduced: so the first decoded block is there earlier than that
splits    100,000 splits without input and output; ten of them are taken off
explain   the plan of NDVI over a raster of 10^6 blocks (sparse: 256,000 x 256,000 pixels), read and written tile by tile
memory    NDVI of 10980 x 10980 pixels with `--memory-limit 256MiB`: high-water mark of the process, and what was predicted
"""
import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import measure
import numpy as np
import rasterio
from rasterio.transform import from_origin

MIB = 1 << 20


def medians(line, repeat):
    """(wall, cpu, last output)"""
    runs = [measure.run(list(map(str, line)), keep=1 << 20) for _ in range(repeat)]
    for got in runs:
        if got["rc"]:
            sys.exit(f"{line}\n{got['said']}")
    return statistics.median(r["wall"] for r in runs), statistics.median(r["cpu"] for r in runs), runs[-1]["said"]


def one_block(folder):
    path = Path(folder) / "block.tif"
    pixels = np.random.default_rng(1).integers(1, 9000, (1, 256, 256)).astype("uint16")
    profile = dict(driver="GTiff", width=256, height=256, count=1, dtype="uint16", crs="EPSG:32633", tiled=True,
                   blockxsize=256, blockysize=256, compress="deflate", transform=from_origin(600000, 5100000, 10, 10))
    with rasterio.open(path, "w", **profile) as out:
        out.write(pixels)
    return path


def sparse(folder):
    """1,000 x 1,000 blocks of 256 x 256, none of them written."""
    path, side = Path(folder) / "sparse.tif", 256_000
    profile = dict(driver="GTiff", width=side, height=side, count=1, dtype="uint16", crs="EPSG:32633", tiled=True,
                   blockxsize=256, blockysize=256, compress="deflate", transform=from_origin(600000, 5100000, 10, 10),
                   SPARSE_OK=True, BIGTIFF="YES")
    rasterio.open(path, "w", **profile).close()
    return path


def memory(a, scratch):
    red, nir = (next((a.data / "d10980").rglob(f"*{band}*.tif")) for band in ("B04", "B08"))
    line = [a.tools / "mapfold", "run", "ndvi", "--red", red, "--nir", nir, "--out", f"{scratch}/out.tif",
            "--memory-limit", "256MiB", "--threads", "2", "--json"]
    told = json.loads(medians(line, 1)[2])["run"]["memory"]
    return told["peak_bytes"] / MIB, told["predicted_bytes"] / MIB


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tools", type=Path, required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--repeat", type=int, default=9)
    a = p.parse_args()
    trial = a.tools / "mapfold-trial"
    with tempfile.TemporaryDirectory(dir=a.data) as scratch:
        version = medians([a.tools / "mapfold", "--version"], a.repeat)[0]
        stats = medians([a.tools / "mapfold", "run", "stats", one_block(scratch), "-q"], a.repeat)[0]
        few = medians([trial, "--splits", 10, "-q", "--threads", 2], a.repeat)
        many = medians([trial, "--splits", 100_000, "-q", "--threads", 2], 3)
        empty = sparse(scratch)
        plan = medians([a.tools / "mapfold", "run", "ndvi", "--red", empty, "--nir", empty, "--out", f"{scratch}/big.tif",
                        "--format", "gtiff", "--tile", 256, "--blocksize", 256, "--chunks", "256,256", "--explain"], 3)[0]
        peak, predicted = memory(a, scratch)
    print("\n**A run without much work**\n\n| what | figure | asked |\n|---|---:|---:|")
    print(f"| `mapfold --version`, whole process | {version * 1e3:.0f} ms | |")
    print(f"| `stats` of a file of one block, whole process | {stats * 1e3:.0f} ms | first block after 50 ms |")
    print(f"| 100,000 empty splits, wall each | {(many[0] - few[0]) * 10:.1f} us | 100 us |")
    print(f"| 100,000 empty splits, CPU each | {(many[1] - few[1]) * 10:.1f} us | |")
    print(f"| `--explain` of 10^6 blocks | {plan:.2f} s | 1 s |")
    print(f"| NDVI 10980², `--memory-limit 256MiB`: peak, predicted | {peak:.0f} MiB, {predicted:.0f} MiB | 256 MiB |")


if __name__ == "__main__":
    main()
