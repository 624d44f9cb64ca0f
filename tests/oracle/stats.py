#!/usr/bin/env python3
"""Are these the statistics of IN? Count, minimum and maximum exactly, mean and std (ddof 0) to 1e-12 relative.

JSON is the file (or - for stdin) that `mapfold run stats IN --json` wrote: somewhere in it a list "bands" with one
object per band: count, min, max, mean, std (null where no pixel is valid).

usage: stats.py IN JSON [--scale auto|raw] [--tolerance 1e-12]
"""
import argparse
import json
import sys

import rasterio

import common


def find(value, name):
    """The first list called `name`, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get(name), list):
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            found = find(inner, name)
            if found is not None:
                return found
    return None


def wanted(data, band, scale):
    pixels = data.read(band)
    known = pixels[common.valid(data, band, pixels)]
    factor, offset = data.scales[band - 1], data.offsets[band - 1]
    if scale == "auto" and (factor, offset) != (1, 0):
        known = known.astype("f8") * factor + offset
    return common.moments(known)


def compare(band, want, got, tolerance):
    faults = []
    for key, limit in (("count", 0), ("min", 0), ("max", 0), ("mean", tolerance), ("std", tolerance)):
        if key not in got:
            faults.append(f"band {band}: no {key}")
        elif not common.close(want[key], got[key], limit):
            faults.append(f"band {band}: {key} is {got[key]!r}, should be {want[key]!r}")
    return faults


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("input")
    p.add_argument("json")
    p.add_argument("--scale", choices=["auto", "raw"], default="auto")
    p.add_argument("--tolerance", type=float, default=1e-12)
    a = p.parse_args()
    text = sys.stdin.read() if a.json == "-" else open(a.json).read()
    got = find(json.loads(text), "bands")
    if got is None:
        common.verdict(['no list "bands" in the JSON'])
    with rasterio.open(a.input) as data:
        want = [wanted(data, band, a.scale) for band in data.indexes]
    faults = [] if len(want) == len(got) else [f"{len(got)} bands, should be {len(want)}"]
    for band, (w, g) in enumerate(zip(want, got), 1):
        faults += compare(band, w, g, a.tolerance)
    common.verdict(faults, bands=want)


if __name__ == "__main__":
    main()
