#!/usr/bin/env python3
"""Is OUT the NDVI of two bands? (nir - red) / (nir + red) in float64, against rasterio and NumPy.

Nodata in either band, or a denominator of 0, must be nodata in OUT; everywhere else the difference must stay below the
tolerance. CRS and transform must be those of the red band.

usage: ndvi.py RED NIR OUT [--eps 0] [--scale auto|raw] [--tolerance 1e-6]
  RED, NIR   path, path#4 or path#B04;   --eps is added to the denominator, as the job's own option
"""
import argparse

import numpy as np

import common


def expected(red, nir, scaled, eps):
    r, r_ok = common.values(*red, scaled)
    n, n_ok = common.values(*nir, scaled)
    below = n + r + eps
    ok = r_ok & n_ok & (below != 0)
    return np.divide(n - r, below, out=np.full(r.shape, np.nan), where=ok), ok


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("red")
    p.add_argument("nir")
    p.add_argument("out")
    p.add_argument("--eps", type=float, default=0)
    p.add_argument("--scale", choices=["auto", "raw"], default="auto")
    p.add_argument("--tolerance", type=float, default=1e-6)
    a = p.parse_args()
    red, nir, out = common.open_band(a.red), common.open_band(a.nir), common.open_band(a.out)
    faults = common.same_place(red[0], out[0])
    if faults:
        common.verdict(faults)
    want, want_ok = expected(red, nir, a.scale == "auto", a.eps)
    got, got_ok = common.values(*out, False)
    if (want_ok != got_ok).any():
        row, column = np.argwhere(want_ok != got_ok)[0]
        faults.append(f"{(want_ok != got_ok).sum()} pixels differ in validity, the first at row {row}, column {column}")
    both = want_ok & got_ok
    error = np.abs(want - got)[both] / np.maximum(np.abs(want[both]), 1)
    worst = float(error.max()) if error.size else 0.0
    if not worst < a.tolerance:
        faults.append(f"values differ by up to {worst}")
    common.verdict(faults, max_abs_diff=worst, valid=int(both.sum()), pixels=int(want.size))


if __name__ == "__main__":
    main()
