#!/usr/bin/env python3
"""Is FILE a good COG? rio-cogeo's strict validation, every block's place (layout.py), tile sizes, registered average overviews, statistics.

Overviews: sizes are halves rounded up of the level before; a pixel is the area-weighted mean of the *valid* pixels
under its footprint. Pixel i of a level with n pixels, made from one with m, covers [i*m/n, (i+1)*m/n) there, so levels
stay registered however often odd sizes are halved (plain 2 x 2 halving drifts by up to a pixel). It is computed here
from the stored level before, with weight matrices. Integers must be the rounded mean: no more than 0.5 away.

Statistics in the header (STATISTICS_MINIMUM, ... per band), where present or asked for, must be those of the pixels.

usage: cog.py FILE [--original F] [--blocksize N] [--statistics] [--no-average]
"""
import argparse
import warnings

import numpy as np
import rasterio
from rio_cogeo.cogeo import cog_validate

import common
import layout

KEYS = dict(min="STATISTICS_MINIMUM", max="STATISTICS_MAXIMUM", mean="STATISTICS_MEAN", std="STATISTICS_STDDEV")


def weights(n, m):
    """n x m matrix: how much of pixel j (of m) lies under pixel i (of n)."""
    edges = np.arange(n + 1) * m / n
    column = np.arange(m)
    return np.clip(np.minimum(edges[1:, None], column + 1) - np.maximum(edges[:-1, None], column), 0, None)


def average(value, ok, shape):
    """Weighted mean over valid pixels and where there is any."""
    down, across = weights(shape[0], value.shape[0]), weights(shape[1], value.shape[1]).T
    area = down @ ok.astype("f8") @ across
    total = down @ np.where(ok, value, 0) @ across
    known = area > 1e-9
    return np.divide(total, area, out=np.zeros(shape), where=known), known


def level_faults(band, depth, before, level, nodata):
    """Compares one stored overview of one band with the mean of the stored level before."""
    (value, ok), (got, got_ok) = before, level
    want, want_ok = average(value.astype("f8"), ok, got.shape)
    where = f"band {band}, overview {depth}"
    if (want_ok != got_ok).any():
        row, column = np.argwhere(want_ok != got_ok)[0]
        return [f"{where}: {(want_ok != got_ok).sum()} pixels differ in validity, first at row {row}, column {column}"]
    whole = got.dtype.kind in "iu"
    limit = 0.5 + 1e-6 if whole else 2e-6 * np.maximum(np.abs(want), np.abs(value[ok]).max(initial=0) * 1e-2) + 1e-30
    error = np.abs(want - got)
    if nodata is not None and whole:  # a mean that equals nodata is moved to the next number
        error = np.where(np.round(want) == nodata, np.maximum(error - 1, 0), error)
    far = want_ok & (error > limit)
    if far.any():
        row, column = np.argwhere(far)[0]
        return [f"{where}: {far.sum()} pixels are no average, first at row {row}, column {column}: "
                f"{got[row, column]} should be {want[row, column]:.7g}"]
    return []


def levels(path):
    """All levels of a file as lists of (pixels, validity) per band, the full one first."""
    found = []
    for index in range(-1, 32):
        options = {} if index < 0 else dict(overview_level=index)
        try:
            with rasterio.open(path, **options) as data:
                found.append([(data.read(b), common.valid(data, b, data.read(b))) for b in data.indexes])
        except rasterio.errors.RasterioIOError:
            break
    return found


def overview_faults(path, nodata, average_asked):
    faults, all_levels = [], levels(path)
    for depth in range(1, len(all_levels)):
        before, level = all_levels[depth - 1], all_levels[depth]
        half = tuple(-(-n // 2) for n in before[0][0].shape)
        if level[0][0].shape != half:
            faults.append(f"overview {depth} is {level[0][0].shape}, should be {half} (rows, columns)")
        elif average_asked:
            for band, pair in enumerate(zip(before, level), 1):
                faults += level_faults(band, depth, *pair, nodata)
    return faults, len(all_levels) - 1


def statistics_faults(data, required):
    faults = []
    for band in data.indexes:
        tags = data.tags(band)
        if not required and KEYS["mean"] not in tags:
            continue
        pixels = data.read(band)
        want = common.moments(pixels[common.valid(data, band, pixels)])
        for key, tag in KEYS.items():
            got = float(tags[tag]) if tag in tags else None
            if not common.close(want[key], got, 1e-9):
                faults.append(f"band {band}: {tag} is {got}, should be {want[key]}")
    return faults


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--original", help="a raster whose pixels and place FILE must have")
    p.add_argument("--blocksize", type=int)
    p.add_argument("--statistics", action="store_true", help="every band must have statistics in the header")
    p.add_argument("--no-average", action="store_true", help="overviews were not made by averaging")
    a = p.parse_args()
    warnings.simplefilter("ignore")
    good, errors, warned = cog_validate(a.file, strict=True, quiet=True)
    faults = [] if good else [f"rio-cogeo: {text}" for text in errors + warned]
    with rasterio.open(a.file) as data:
        if a.blocksize and set(data.block_shapes) != {(a.blocksize, a.blocksize)}:
            faults.append(f"tiles are {data.block_shapes}, should be {a.blocksize}")
        faults += layout.faults(a.file, data)
        faults += statistics_faults(data, a.statistics)
        more, count = overview_faults(a.file, data.nodata, not a.no_average)
        faults += more
        if a.original:
            faults += original_faults(data, a.original)
        common.verdict(faults, overviews=count, blocks=data.block_shapes[0], shape=[data.count, *data.shape])


def original_faults(data, path):
    from equal import band_faults
    with rasterio.open(path) as original:
        faults = common.same_place(original, data)
        return faults or [f for band in data.indexes for f in band_faults(original, data, band, 0)]


if __name__ == "__main__":
    main()
