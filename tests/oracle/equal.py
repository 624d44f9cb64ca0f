#!/usr/bin/env python3
"""Do two rasters hold the same? Type, pixels (NaN equals NaN), validity, nodata, CRS, transform.

Pixels that are not valid in either need not agree: what lies under a mask is nobody's value.

usage: equal.py A B [--tolerance 0] [--no-nodata]
"""
import argparse

import numpy as np
import rasterio

import common


def same_nodata(a, b):
    return a == b or (a is not None and b is not None and np.isnan(a) and np.isnan(b))


def band_faults(a, b, band, tolerance):
    x, y = a.read(band), b.read(band)
    ok, other = common.valid(a, band, x), common.valid(b, band, y)
    if (ok != other).any():
        row, column = np.argwhere(ok != other)[0]
        return [f"band {band}: {(ok != other).sum()} pixels differ in validity, the first at row {row}, column {column}"]
    far = ok & (np.abs(x.astype("f8") - y.astype("f8")) > tolerance if tolerance else x != y)
    if far.any():
        row, column = np.argwhere(far)[0]
        return [f"band {band}: {far.sum()} pixels differ, the first at row {row}, column {column}: "
                f"{x[row, column]} and {y[row, column]}"]
    return []


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("a")
    p.add_argument("b")
    p.add_argument("--tolerance", type=float, default=0)
    p.add_argument("--no-nodata", action="store_true", help="the nodata values themselves may differ")
    o = p.parse_args()
    with rasterio.open(o.a) as a, rasterio.open(o.b) as b:
        faults = common.same_place(a, b)
        if a.count != b.count:
            faults.append(f"{a.count} bands and {b.count} bands")
        if a.dtypes != b.dtypes:
            faults.append(f"types differ: {a.dtypes} and {b.dtypes}")
        if not o.no_nodata and not same_nodata(a.nodata, b.nodata):
            faults.append(f"nodata differ: {a.nodata} and {b.nodata}")
        if not faults:
            faults = [f for band in a.indexes for f in band_faults(a, b, band, o.tolerance)]
        common.verdict(faults, shape=[a.count, a.height, a.width])


if __name__ == "__main__":
    main()
