#!/usr/bin/env python3
"""Files in unusual places, and whether a copy is in the same one.

usage: place.py make FOLDER     point.tif (PixelIsPoint), user.tif (user-defined projection and datum),
                                rotated.tif (ModelTransformation), both.tif (rotated and PixelIsPoint); uint16
       place.py check A B       size, CRS (as WKT too), transform and AREA_OR_POINT are equal
"""
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

import common

USER = "+proj=laea +lat_0=11.5 +lon_0=-7.25 +x_0=1234.5 +y_0=-67 +a=6378200 +rf=298.2 +units=m +no_defs"
NORTH_UP = Affine(10, 0, 600000, 0, -10, 5100000)
ROTATED = Affine(8, 3, 600000, 2.5, -9, 5100000)
PLACES = dict(point=("EPSG:32633", NORTH_UP, "Point"), user=(USER, NORTH_UP, "Area"),
              rotated=("EPSG:32633", ROTATED, "Area"), both=(USER, ROTATED, "Point"))


def make(folder):
    for name, (crs, transform, pixel) in PLACES.items():
        options = dict(driver="GTiff", width=300, height=200, count=2, dtype="uint16", nodata=0, tiled=True,
                       blockxsize=128, blockysize=128, compress="deflate", crs=CRS.from_user_input(crs), transform=transform)
        with rasterio.open(Path(folder) / f"{name}.tif", "w", **options) as out:
            out.update_tags(AREA_OR_POINT=pixel)
            out.write(np.random.default_rng(7).integers(1, 9000, (2, 200, 300), dtype="u2"))
    common.verdict([], files=sorted(PLACES))


def check(one, other):
    with rasterio.open(one) as a, rasterio.open(other) as b:
        faults = common.same_place(a, b)
        if a.transform != b.transform:
            faults.append(f"transforms differ in the last place: {a.transform} and {b.transform}")
        if a.crs.to_wkt() != b.crs.to_wkt():
            faults.append(f"CRS texts differ:\n{a.crs.to_wkt()}\n{b.crs.to_wkt()}")
        kinds = [d.tags().get("AREA_OR_POINT") for d in (a, b)]
        if kinds[0] != kinds[1]:
            faults.append(f"AREA_OR_POINT differs: {kinds}")
        common.verdict(faults, transform=tuple(b.transform)[:6])


if __name__ == "__main__":
    if sys.argv[1:2] not in (["make"], ["check"]):
        sys.exit(__doc__)
    globals()[sys.argv[1]](*sys.argv[2:])
