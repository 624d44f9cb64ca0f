"""Reads files that the writer made, with GDAL (rasterio) and rio-cogeo, and compares with what was put in.

Usage: check.py FOLDER. Beside each NAME.tif lie NAME.json (what to expect) and NAME.N.raw (pixels of level N as the
test's own decoder sees them). Prints one line per file; fails at the first difference.
"""
import json, pathlib, sys
import numpy as np, rasterio
from rasterio.enums import MaskFlags
from rio_cogeo.cogeo import cog_validate

folder = pathlib.Path(sys.argv[1])
for tif in sorted(folder.glob("*.tif")):
    want = json.loads(tif.with_suffix(".json").read_text())
    with rasterio.open(tif) as src:
        factors = src.overviews(1)
    assert len(factors) + 1 == len(want["levels"]), (tif.name, factors)
    for n, (rows, cols) in enumerate(want["levels"]):
        with rasterio.open(tif, **({"overview_level": n - 1} if n else {})) as src:
            got = src.read()
            assert got.shape == (want["bands"], rows, cols), (tif.name, n, got.shape)
            expect = np.fromfile(tif.with_suffix(f".{n}.raw"), dtype=want["dtype"]).reshape(got.shape)
            np.testing.assert_array_equal(got, expect, err_msg=f"{tif.name} level {n}")
            if want["mask"]:
                assert MaskFlags.per_dataset in src.mask_flag_enums[0], tif.name
                mask = np.fromfile(tif.with_suffix(f".{n}.mask"), dtype="u1").reshape(rows, cols)
                np.testing.assert_array_equal(src.dataset_mask() > 0, mask > 0, err_msg=f"{tif.name} mask {n}")
    with rasterio.open(tif) as src:
        assert src.crs.to_epsg() == 32633 and src.transform.to_gdal() == (499980.0, 10.0, 0.0, 5300040.0, 0.0, -10.0), tif.name
        assert repr(src.nodata) == repr(want["nodata"]), (tif.name, src.nodata)
        assert list(src.descriptions) == want["names"], (tif.name, src.descriptions)
        for band in range(1, want["bands"] + 1):
            valid = src.read(band, masked=True).compressed().astype("f8")
            tags = src.tags(band)
            np.testing.assert_allclose(float(tags["STATISTICS_VALID_PERCENT"]), 100 * valid.size / (src.width * src.height), atol=1e-4)
            if not valid.size:
                continue
            for name, value in (("MINIMUM", valid.min()), ("MAXIMUM", valid.max()), ("MEAN", valid.mean()), ("STDDEV", valid.std())):
                np.testing.assert_allclose(float(tags[f"STATISTICS_{name}"]), value, rtol=1e-9, err_msg=f"{tif.name} {name}")
        if len(want["levels"]) > 1:
            assert src.tags()["OVR_RESAMPLING_ALG"] == "AVERAGE" and src.tags(ns="rio_overview")["resampling"] == "average"
    if want["cog"]:
        valid, errors, warnings = cog_validate(str(tif), strict=True, quiet=True)
        assert valid and not errors and not warnings, (tif.name, errors, warnings)
    print(f"{tif.name}: {len(want['levels'])} levels equal")
