"""What the oracles share: opening a band, validity, and one JSON verdict.

The oracles know nothing of mapfold: they read files with GDAL (rasterio) and compute with NumPy in float64, so an
error of ours cannot hide in both. Each prints one JSON object on stdout; exit 0 = equal, 1 = not, 2 = wrong usage.
"""
import json
import math
import sys

import numpy as np
import rasterio


def open_band(spec):
    """`path`, `path#4` or `path#B04` (a description): the open dataset and the band's number from 1."""
    path, _, band = spec.partition("#")
    data = rasterio.open(path)
    if not band:
        return data, 1
    if band.isdigit():
        return data, int(band)
    if band not in data.descriptions:
        sys.exit(f"{path}: no band {band!r}; it has {data.descriptions}")
    return data, data.descriptions.index(band) + 1


def valid(data, band, pixels):
    """True where a pixel counts: the dataset's mask, alpha or nodata as GDAL weighs them; NaN never counts."""
    known = data.read_masks(band) > 0
    return known & ~np.isnan(pixels) if pixels.dtype.kind == "f" else known


def values(data, band, scaled):
    """float64 values (scale and offset applied if asked for) and validity."""
    pixels = data.read(band)
    value = pixels.astype("f8")
    if scaled:
        value = value * data.scales[band - 1] + data.offsets[band - 1]
    return value, valid(data, band, pixels)


def moments(pixels):
    """Count, min, max, mean and standard deviation (ddof 0) without rounding error that matters.

    Integers: sums of Python integers. Floats: `fsum` is correctly rounded; from 4 million on, extended precision.
    """
    n = int(pixels.size)
    if n == 0:
        return dict(count=0, min=None, max=None, mean=None, std=None)
    low, high = pixels.min().item(), pixels.max().item()
    if pixels.dtype.kind in "iu":
        mean, std = integer_moments(pixels, n)
    elif n < 4_000_000:
        mean = math.fsum(pixels.tolist()) / n
        rest = pixels.astype("f8") - mean
        std = math.sqrt(max(math.fsum((rest * rest).tolist()) / n - (math.fsum(rest.tolist()) / n) ** 2, 0))
    else:
        wide = pixels.astype(np.longdouble)
        mean, std = float(wide.mean()), float(wide.std())
    return dict(count=n, min=low, max=high, mean=mean, std=std)


def integer_moments(pixels, n):
    numbers, times = np.unique(pixels, return_counts=True)
    total = sum(int(v) * int(k) for v, k in zip(numbers, times))
    squares = sum(int(v) ** 2 * int(k) for v, k in zip(numbers, times))
    return total / n, math.sqrt((n * squares - total * total) / (n * n))


def close(a, b, relative):
    """Equal up to a relative error; both absent is equal."""
    if a is None or b is None:
        return a is None and b is None
    return a == b or abs(a - b) <= relative * max(abs(a), abs(b))


def same_place(a, b):
    """Texts that say how two datasets differ in size, CRS or transform."""
    faults = []
    if (a.height, a.width) != (b.height, b.width):
        faults.append(f"sizes differ: {a.width} x {a.height} and {b.width} x {b.height}")
    if a.crs != b.crs:
        faults.append(f"CRS differ: {a.crs} and {b.crs}")
    if not a.transform.almost_equals(b.transform, precision=1e-9):
        faults.append(f"transforms differ: {tuple(a.transform)[:6]} and {tuple(b.transform)[:6]}")
    return faults


def verdict(faults, **more):
    print(json.dumps(dict(ok=not faults, faults=faults, **more)))
    sys.exit(1 if faults else 0)
