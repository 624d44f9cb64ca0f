#!/usr/bin/env python3
"""Makes tests/data/s2/: five real Sentinel-2 scenes of 13 bands as small COGs, with their provenance.

The source is the test patch of eo-learn (github.com/sentinel-hub/eo-learn, example_data/TestEOPatch):
data/REFERENCE_SCENES.npy holds five scenes without dates. Their dates are found here, not guessed: NDVI of each scene
equals exactly one of the 68 dated slices of data/NDVI.npy to 1e-6, the next best differs by 0.02 on average.

usage: make_s2.py --source DIR        (DIR is the folder TestEOPatch)
"""
import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import rasterio
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.transform import from_bounds

HERE = Path(__file__).resolve().parent
BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
RED, NIR = BANDS.index("B04"), BANDS.index("B08")
BLOCK = 64  # the patch is 101 x 100: with 512 it would be one tile without an overview, and test little


def dates(scenes, source):
    """Index into timestamps.json of every scene, by its NDVI."""
    known = np.load(source / "data/NDVI.npy")[..., 0].astype("f8")
    found = []
    for scene in scenes.astype("f8"):
        ndvi = (scene[..., NIR] - scene[..., RED]) / (scene[..., NIR] + scene[..., RED])
        worst = np.abs(known - ndvi).max(axis=(1, 2))
        best = int(np.argmin(worst))
        assert worst[best] < 1e-6 and np.sort(worst)[1] > 0.1, "no date fits"
        found.append(best)
    return found


def geo(source, shape):
    box = json.loads((source / "bbox.geojson").read_text())
    crs = box["crs"]["properties"]["name"].rsplit(":", 1)[1]
    ring = np.array(box["coordinates"][0])
    (west, south), (east, north) = ring.min(axis=0), ring.max(axis=0)
    return f"EPSG:{crs}", from_bounds(west, south, east, north, shape[1], shape[0])


def write(path, dn, crs, transform, stamp):
    profile = dict(driver="GTiff", count=len(BANDS), height=dn.shape[1], width=dn.shape[2], dtype="uint16", nodata=0,
                   crs=crs, transform=transform)
    with MemoryFile() as memory:
        with memory.open(**profile) as out:
            out.write(dn)
            out.descriptions = BANDS
            out.scales = [0.0001] * len(BANDS)
            out.update_tags(TIFFTAG_DATETIME=stamp.replace("-", ":").replace("T", " "),
                            TIFFTAG_COPYRIGHT="Contains modified Copernicus Sentinel data 2015-2017")
        with memory.open() as plain:
            copy(plain, path, driver="COG", compress="DEFLATE", predictor="STANDARD", level=9, blocksize=BLOCK,
                 overview_resampling="AVERAGE")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--source", type=Path, required=True)
    source = p.parse_args().source
    out = HERE / "s2"
    out.mkdir(exist_ok=True)
    scenes = np.load(source / "data/REFERENCE_SCENES.npy")
    valid = np.load(source / "mask/IS_DATA.npy")[..., 0].astype(bool)
    cloud = np.load(source / "mask/CLM.npy")[..., 0]
    stamps = json.loads((source / "timestamps.json").read_text())
    crs, transform = geo(source, scenes.shape[1:3])
    rows = []
    for scene, when in zip(scenes, dates(scenes, source)):
        exact = scene.astype("f8") * 10000
        dn = np.round(exact)
        assert np.abs(exact - dn).max() < 0.01 and dn.min() >= 1 and dn.max() < 65536
        dn[~valid[when]] = 0
        name = f"S2_{stamps[when][:10].replace('-', '')}.tif"
        write(out / name, dn.astype("u2").transpose(2, 0, 1), crs, transform, stamps[when])
        rows.append((name, stamps[when], cloud[when].mean(), int((~valid[when]).sum()), (out / name).stat().st_size))
    shutil.copyfile(source / "LICENSE", out / "LICENSE")
    (out / "LICENSE").chmod(0o644)
    (out / "PROVENANCE.md").write_text(provenance(sorted(rows)))


def provenance(rows):
    table = "\n".join(f"| `{n}` | {t}Z | {100 * c:.0f} % | {v} | {s} |" for n, t, c, v, s in rows)
    return f"""# Sentinel-2 scenes of one place

Contains modified Copernicus Sentinel data 2015-2017.

Five scenes of one patch of 101 x 100 pixels (10 m) in Slovenia, EPSG:32633, 13 bands ({', '.join(BANDS)};
the bands of 20 m and 60 m resampled to 10 m by the source). From the test patch of
[eo-learn](https://github.com/sentinel-hub/eo-learn) (`example_data/TestEOPatch`, MIT licence, see `LICENSE`).

| file | sensed | cloud mask of the source | pixels without data | bytes |
|---|---|---|---|---|
{table}

Made by `../make_s2.py --source DIR`. Digital number = reflectance x 10000 (the source's values are such integers to
float rounding), uint16, scale 0.0001 in the header, nodata 0 (no pixel of these scenes is without data), DEFLATE,
predictor 2, tiles of {BLOCK}, average overviews. The source gives its reference scenes without dates; the script finds
them by comparing NDVI with the dated series of the same patch (equal to 1e-6 for one date, far for all others).
"""


if __name__ == "__main__":
    main()
