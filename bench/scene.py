#!/usr/bin/env python3
"""A synthetic Sentinel-2-like scene for the benchmarks: OUT/B04.tif and OUT/B08.tif.

uint16, nodata 0, EPSG:32633, 10 m, COG with DEFLATE, predictor 2, tiles of 512 and average overviews: what a user
finds in a public bucket. The landscape (fields, forest, water, clouds with shadows, noise of several scales) keeps
the entropy of real bands: the tiles compress to about 64 % as those of real products do, so decoding costs what it
costs there. Same seed and size give the same pixels. Pixels are made in strips, so 10980 x 10980 needs about 3 GB.

usage: scene.py OUT --size 2048 [--seed 7]
"""
import argparse
import os
import time

import numpy as np
import rasterio
from rasterio.transform import from_origin
from scipy import ndimage

EAST, NORTH, EPSG = 600000.0, 5100000.0, 32633
STRIP = 512
# band: reflectance x 10000 of bare soil, change to full vegetation, weight of the texture, water
SPEC = {"B04": (1300, -950, 220, 300), "B08": (1700, 2300, 350, 150)}


def smooth(rng, n, scale):
    """n x n standard-normal field with correlation length `scale` pixels (made coarse, then zoomed)."""
    coarse = rng.standard_normal((int(np.ceil(n / scale)) + 4,) * 2).astype("f4")
    return ndimage.zoom(coarse, scale, order=1, mode="nearest", prefilter=False)[:n, :n]


def mix(rng, n, parts):
    """Weighted sum of smooth fields, `parts` = ((scale, weight), ...)."""
    total = np.zeros((n, n), "f4")
    for scale, weight in parts:
        total += np.float32(weight) * smooth(rng, n, scale)
    return total


def parcels(rng, n, side=24):
    """Fields: a jittered grid of parcels, each with its own constant. Returns a function of a row range."""
    value = rng.standard_normal((n // side + 2,) * 2).astype("f4")
    column = np.arange(n) // side
    jitter = (3 * np.sin(np.arange(n) / 37.0)).astype(int)

    def rows(first, last):
        row = np.clip((np.arange(first, last)[:, None] + jitter[None, :]) // side, 0, value.shape[0] - 1)
        return value[row, column[None, :]]

    return rows


def landscape(n, seed):
    rng = np.random.default_rng(seed)
    vegetation = mix(rng, n, ((512, 0.5), (128, 0.6), (32, 0.5)))
    texture = mix(rng, n, ((16, 0.5), (4, 0.5)))
    fields = parcels(rng, n)
    water = mix(rng, n, ((256, 1.0), (64, 0.3))) > 1.35
    cloud = mix(rng, n, ((384, 0.8), (96, 0.5), (24, 0.25)))
    cloud -= np.quantile(cloud[::16, ::16], 0.8)  # > 0 is cloud; the depth tells the opacity
    shadow = np.roll(cloud > 0, (40, -30), (0, 1)) & (cloud <= 0)
    return vegetation, texture, fields, water, cloud, shadow


def band_rows(name, ground, first, last, seed):
    """Digital numbers of rows [first, last) of one band."""
    vegetation, texture, fields, water, cloud, shadow = ground
    s = slice(first, last)
    soil, slope, grain, wet = SPEC[name]
    green = 1 / (1 + np.exp(-(vegetation[s] + np.float32(0.6) * fields(first, last))))
    value = np.where(water[s], np.float32(wet), soil + slope * green + grain * texture[s])
    value = np.where(shadow[s], value * np.float32(0.55), value)
    opacity = np.clip(cloud[s] * 3, 0, 1)
    value = value * (1 - opacity) + opacity * (6500 + 900 * cloud[s])
    rng = np.random.default_rng([seed, first, list(SPEC).index(name)])
    value += rng.standard_normal(value.shape, dtype="f4") * 9 * (1 + value / 3000)
    value = np.clip(value, 1, 16000).astype("u2")
    edge = np.arange(value.shape[1])[None, :] < (np.arange(first, last)[:, None] * 0.02 + 8)
    value[edge] = 0  # a wedge of nodata, as at the border of a swath
    return value


def write_band(path, name, ground, n, seed):
    """First a plain file in memory order, then GDAL's COG driver, which only copies."""
    plain = path + ".plain.tif"
    common = dict(width=n, height=n, count=1, dtype="uint16", nodata=0, crs=f"EPSG:{EPSG}",
                  transform=from_origin(EAST, NORTH, 10, 10))
    with rasterio.open(plain, "w", driver="GTiff", BIGTIFF="IF_SAFER", **common) as out:
        for first in range(0, n, STRIP):
            last = min(first + STRIP, n)
            out.write(band_rows(name, ground, first, last, seed), 1, window=((first, last), (0, n)))
    from rasterio.shutil import copy
    copy(plain, path + ".part", driver="COG", compress="DEFLATE", predictor="STANDARD", level=6, blocksize=512,
         overview_resampling="AVERAGE", bigtiff="IF_SAFER", num_threads="2")
    os.remove(plain)
    os.replace(path + ".part", path)  # a scene that is there is complete


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--size", type=int, default=2048)
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    todo = [b for b in SPEC if not os.path.exists(f"{a.out}/{b}.tif")]
    if not todo:
        return
    start = time.time()
    ground = landscape(a.size, a.seed)
    for band in todo:
        write_band(f"{a.out}/{band}.tif", band, ground, a.size, a.seed)
    print(f"{a.out}: {a.size} x {a.size} {', '.join(todo)} in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
