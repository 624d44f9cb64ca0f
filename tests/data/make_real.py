#!/usr/bin/env python3
"""Makes tests/data/real/expected.json: what GDAL finds in the real files of that folder (see PROVENANCE.md there).

Per band: minimum, maximum, sum of the pixels, and `placed`, the sum of pixel * ((31 * row + column) % 997), which a
shifted or transposed block would change. Integers are exact. `valid` counts the pixels of the dataset mask.

usage: make_real.py            (needs rasterio)
"""
import json
from pathlib import Path

import numpy as np
import rasterio

HERE = Path(__file__).resolve().parent / "real"


def band(pixels):
    row, column = np.indices(pixels.shape)
    weight = (31 * row + column) % 997
    if pixels.dtype.kind == "f":
        known = np.isfinite(pixels)
        pixels, weight = pixels[known].astype("f8"), weight[known]
        return dict(min=float(pixels.min()), max=float(pixels.max()), sum=float(pixels.sum()),
                    placed=float((pixels * weight).sum()))
    wide = pixels.astype("i8")
    return dict(min=int(wide.min()), max=int(wide.max()), sum=int(wide.sum()), placed=int((wide * weight).sum()))


def describe(path):
    with rasterio.open(path) as f:
        pixels = f.read()
        nodata = "nan" if f.nodata is not None and np.isnan(f.nodata) else f.nodata
        return dict(file=path.name, shape=list(pixels.shape), dtype=f.dtypes[0], nodata=nodata,
                    epsg=f.crs.to_epsg() if f.crs else None, transform=list(f.transform)[:6],
                    codec=f.profile.get("compress") or "none", overviews=f.overviews(1),
                    valid=int((f.dataset_mask() > 0).sum()), bands=[band(b) for b in pixels])


rows = [json.dumps(describe(p)) for p in sorted(HERE.glob("*.tif"))]
(HERE / "expected.json").write_text('{"files": [\n' + ",\n".join(rows) + "\n]}\n")
