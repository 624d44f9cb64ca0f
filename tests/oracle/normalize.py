#!/usr/bin/env python3
"""Is OUT the standard scores of IN, band by band? (x - mean) / std in float64, against rasterio and NumPy.

Mean and std are those of `common.moments`, without rounding error that matters; the score of a pixel may differ from
the float32 of NumPy's by the tolerance. Nodata must stay nodata, and CRS and transform be those of IN.

usage: normalize.py IN OUT [--ddof 0] [--tolerance 1e-6]
"""
import argparse
import math

import numpy as np

import common


def band_faults(number, given, out, ddof, tolerance):
    value, known = common.values(given, number, True)
    m = common.moments(value[known])
    got, got_known = common.values(out, number, False)
    if (known != got_known).any():
        return [f"band {number}: {(known != got_known).sum()} pixels differ in validity"], 0.0
    std = m["std"] * math.sqrt(m["count"] / (m["count"] - ddof))
    want = (value[known] - m["mean"]) / std
    error = np.abs(want - got[known]) / np.maximum(np.abs(want), 1)
    worst = float(error.max())
    return [f"band {number}: scores differ by up to {worst}"] if not worst < tolerance else [], worst


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("input")
    p.add_argument("out")
    p.add_argument("--ddof", type=int, default=0)
    p.add_argument("--tolerance", type=float, default=1e-6)
    a = p.parse_args()
    (given, _), (out, _) = common.open_band(a.input), common.open_band(a.out)
    faults = common.same_place(given, out)
    if given.count != out.count:
        faults.append(f"{out.count} bands, should be {given.count}")
    worst = 0.0
    for band in given.indexes if not faults else []:
        more, here = band_faults(band, given, out, a.ddof, a.tolerance)
        faults, worst = faults + more, max(worst, here)
    common.verdict(faults, bands=given.count, max_abs_diff=worst)


if __name__ == "__main__":
    main()
