#!/usr/bin/env python3
"""Makes tests/data/tiff/: small TIFF files of many kinds with the pixels a reader must find, and expected.json.

Written by GDAL (through rasterio) and by tifffile, so that the expectations come from two writers that are not ours.
expected.json: {"files": [{...}]}, one entry per file:
  file, about        name; one sentence on what is special
  kind               "read" (must give these pixels), "refuse" (valid, but refused by name: see `names`),
                     "either" (pixels as given, or refused by name), "corrupt" (an error, never a panic, never pixels)
  shape              [bands, rows, columns]
  dtype              u8 i8 u16 i16 u32 i32 u64 i64 f32 f64
  pixels             raw little-endian file, C order [band, row, column]; holds at least `shape[0]` bands, take the first
  nodata             null, a number, or the string "nan"
  epsg               null or a number;  citation: null or a text that must survive
  transform          [a, b, c, d, e, f]: x = a*column + b*row + c, y = d*column + e*row + f at a pixel's top left corner
  descriptions, scales, offsets   per band (null or text; 1 and 0 where the file is silent)
  mask               null or a raw u8 file [row, column], 255 = valid
  overviews          [[rows, columns, raw file], ...], pixels as this file's writer made them
  layout, codec, predictor, interleave   what the file is made of

usage: make_tiff.py            (needs rasterio, tifffile, imagecodecs: tests/env/requirements-data.txt)
"""
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import rasterio
import tifffile
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.transform import Affine

OUT = Path(__file__).resolve().parent / "tiff"
ROWS, COLS, BANDS, TILE = 70, 75, 3, 32  # not multiples of the tile or of the strip
PLACE = Affine(10, 0, 500000, 0, -10, 4600000)
NP = dict(u8="u1", i8="i1", u16="<u2", i16="<i2", u32="<u4", i32="<i4", u64="<u8", i64="<i8", f32="<f4", f64="<f8")
GDAL = dict(u8="uint8", i8="int8", u16="uint16", i16="int16", u32="uint32", i32="int32", u64="uint64", i64="int64",
            f32="float32", f64="float64")
entries = []


def picture(dtype, rows=ROWS, cols=COLS, bands=BANDS):
    """Slopes with a little noise over the whole range of the type; both extremes are in band 1."""
    rng = np.random.default_rng(len(dtype) + ord(dtype[0]))
    y, x = np.mgrid[:rows, :cols]
    slope = np.stack([(3 * y + 2 * x + 40 * b) % 200 for b in range(bands)]).astype("f8") / 200
    value = slope + rng.integers(0, 4, slope.shape) / 1000
    if dtype[0] == "f":
        return ((value - 0.4) * 3000).astype(NP[dtype])
    info = np.iinfo(NP[dtype])
    span = float(info.max) - float(info.min)
    image = (value / 1.01 * span + float(info.min)).astype(NP[dtype])
    image[0, 0, 0], image[0, -1, -1] = info.min, info.max
    return image


def raw(name, array):
    array = np.ascontiguousarray(array)
    (OUT / name).write_bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return name


def entry(file, about, dtype, shape, pixels, kind="read", **more):
    e = dict(file=file, about=about, kind=kind, shape=list(shape), dtype=dtype, pixels=pixels, nodata=None, epsg=32633,
             citation=None, transform=list(PLACE)[:6], descriptions=[None] * shape[0], scales=[1] * shape[0],
             offsets=[0] * shape[0], mask=None, overviews=[], layout="strips", codec="none", predictor=1,
             interleave="pixel")
    assert not set(more) - set(e) - {"names"}, more
    e.update(more)
    entries.append(e)


def gdal(file, image, transform=PLACE, crs="EPSG:32633", env=None, then=None, **options):
    """Writes [band, row, column] with GDAL's GTiff driver."""
    profile = dict(driver="GTiff", count=image.shape[0], height=image.shape[1], width=image.shape[2],
                   dtype=image.dtype.name, crs=crs, transform=transform, **options)
    with rasterio.Env(**(env or {})), rasterio.open(OUT / file, "w", **profile) as out:
        out.write(image)
        if then:
            then(out)


def tiled(size=TILE):
    return dict(tiled=True, blockxsize=size, blockysize=size)


def matrix():
    """Types x layouts x codecs x predictors; bands and interleaving take turns."""
    turn = 0
    for dtype in ("u8", "u16", "i16", "u32", "i32", "f32", "f64"):
        image = picture(dtype)
        pixels = raw(f"px_{dtype}.bin", image)
        for layout in ("tiles", "strips"):
            for codec in ("none", "deflate", "zstd"):
                for predictor in (1,) if codec == "none" else (1, 3 if dtype[0] == "f" else 2):
                    bands = 1 + turn % 3
                    planar = "band" if bands > 1 and turn % 2 else "pixel"
                    turn += 1
                    options = tiled() if layout == "tiles" else dict(tiled=False, blockysize=16)
                    if codec != "none":
                        options.update(compress=codec, predictor=predictor)
                    file = f"{dtype}_{layout}_{codec}_p{predictor}_{bands}{planar}.tif"
                    gdal(file, image[:bands], interleave=planar, **options)
                    entry(file, "one of the matrix", dtype, (bands, ROWS, COLS), pixels, layout=layout, codec=codec,
                          predictor=predictor, interleave=planar)


def predictors():
    """Every predictor with several interleaved samples, and the odd pairs."""
    for dtype, predictor in (("u8", 2), ("u16", 2), ("i32", 2), ("f32", 3), ("f64", 3), ("f32", 2)):
        file = f"predictor{predictor}_{dtype}_3pixel.tif"
        gdal(file, picture(dtype), compress="deflate", predictor=predictor, interleave="pixel", **tiled())
        entry(file, f"predictor {predictor} over three interleaved samples of {dtype}", dtype, (3, ROWS, COLS),
              f"px_{dtype}.bin", layout="tiles", codec="deflate", predictor=predictor)
    for dtype in ("u64", "i64", "i8"):
        image = picture(dtype)[:1]
        file = f"type_{dtype}.tif"
        gdal(file, image, compress="deflate", **tiled())
        entry(file, f"samples of {dtype}", dtype, image.shape, raw(f"px_{dtype}.bin", image), kind="either",
              layout="tiles", codec="deflate")


def containers():
    """BigTIFF, big-endian, larger picture, COG, codec number 32946, several pages."""
    for name, options, dtype, predictor in (
            ("bigtiff", dict(bigtiff="YES"), "u16", 2), ("bigendian_p2", dict(endianness="BIG"), "u16", 2),
            ("bigendian_p3", dict(endianness="BIG"), "f32", 3), ("bigendian_f64", dict(endianness="BIG"), "f64", 1),
            ("bigendian_bigtiff", dict(endianness="BIG", bigtiff="YES"), "i32", 1)):
        file = f"{name}.tif"
        gdal(file, picture(dtype)[:2], compress="deflate", predictor=predictor, **options, **tiled())
        entry(file, name.replace("_", ", "), dtype, (2, ROWS, COLS), f"px_{dtype}.bin", layout="tiles",
              codec="deflate", predictor=predictor)
    image = picture("u16", 130, 150, 1)
    gdal("tiles64.tif", image, compress="zstd", predictor=2, **tiled(64))
    entry("tiles64.tif", "150 x 130 in tiles of 64", "u16", image.shape, raw("px_150x130.bin", image), layout="tiles",
          codec="zstd", predictor=2)
    gdal("tiles_64x16.tif", image, compress="deflate", tiled=True, blockxsize=64, blockysize=16)
    entry("tiles_64x16.tif", "tiles that are not square", "u16", image.shape, "px_150x130.bin", layout="tiles",
          codec="deflate")
    gdal("one_strip.tif", image, tiled=False, blockysize=130)
    entry("one_strip.tif", "the whole image is one strip", "u16", image.shape, "px_150x130.bin")
    gdal("row_strips.tif", image, compress="deflate", tiled=False, blockysize=1)
    entry("row_strips.tif", "one row per strip", "u16", image.shape, "px_150x130.bin", codec="deflate")
    pages()


def pages():
    image = picture("u16")
    keys = dict(photometric="minisblack", metadata=None)
    where = [(33550, "d", 3, (10.0, 10.0, 0.0), False), (33922, "d", 6, (0, 0, 0, 500000.0, 4600000.0, 0), False),
             (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), False)]
    tifffile.imwrite(OUT / "deflate32946.tif", image[0], tile=(32, 32), compression=32946, extratags=where, **keys)
    entry("deflate32946.tif", "the old number of DEFLATE, written by tifffile", "u16", (1, ROWS, COLS), "px_u16.bin",
          layout="tiles", codec="deflate")
    tifffile.imwrite(OUT / "planar_bigendian.tif", image, planarconfig="separate", rowsperstrip=7, byteorder=">",
                     compression="zlib", extratags=where, **keys)
    entry("planar_bigendian.tif", "planar strips of 7 rows, big-endian, written by tifffile", "u16", image.shape,
          "px_u16.bin", codec="deflate", interleave="band")
    with tifffile.TiffWriter(OUT / "two_pages.tif") as out:
        out.write(image[0], compression="zlib", extratags=where, **keys)
        out.write(image[1][:50, :50], compression="zlib", **keys)
    entry("two_pages.tif", "a second page that is no overview (NewSubfileType 0): the first page is the raster", "u16",
          (1, ROWS, COLS), "px_u16.bin", codec="deflate")


def validity():
    """Nodata of several kinds, an internal mask, sparse tiles."""
    def holes(dtype, value):
        image = picture(dtype)[:1].copy()
        image[0, 10:30, 5:40] = value
        return image

    for name, dtype, value in (("0", "u16", 0), ("255", "u8", 255), ("-9999", "i16", -9999), ("-9999", "f32", -9999),
                               ("nan", "f32", np.nan), ("lowest", "f32", np.finfo("f4").min), ("nan", "f64", np.nan)):
        image, file = holes(dtype, value), f"nodata_{name}_{dtype}.tif"
        gdal(file, image, nodata=float(value), compress="deflate", **tiled())
        entry(file, f"nodata {value} of {dtype}", dtype, image.shape, raw(f"px_{file[:-4]}.bin", image), layout="tiles",
              codec="deflate", nodata="nan" if np.isnan(value) else float(value))
    image = picture("u8")[:1]
    where = (np.indices((ROWS, COLS)).sum(axis=0) % 50 > 10).astype("u1") * 255
    gdal("internal_mask.tif", picture("u8"), env=dict(GDAL_TIFF_INTERNAL_MASK=True), compress="deflate",
         then=lambda out: out.write_mask(where), **tiled())
    entry("internal_mask.tif", "a mask page of 1 bit beside three bands", "u8", (3, ROWS, COLS), "px_u8.bin",
          layout="tiles", codec="deflate", mask=raw("mask.bin", where))
    alpha = np.concatenate([picture("u8"), where[None]])
    gdal("alpha.tif", alpha, photometric="RGB", alpha="unspecified", compress="deflate", **tiled())
    entry("alpha.tif", "RGB with a fourth, unassociated alpha sample: valid where it is not 0", "u8", alpha.shape,
          raw("px_alpha.bin", alpha), kind="either", layout="tiles", codec="deflate")
    for name, nodata in (("sparse_nodata", 7), ("sparse_plain", None)):
        image = np.full((1, ROWS, COLS), nodata or 0, "u2")
        image[0, :TILE, :TILE] = picture("u16")[0, :TILE, :TILE]
        gdal(f"{name}.tif", image, sparse_ok=True, nodata=nodata, compress="deflate", **tiled())
        entry(f"{name}.tif", f"tiles that are absent (offset 0) read as {nodata or 0}", "u16", image.shape,
              raw(f"px_{name}.bin", image), nodata=nodata, layout="tiles", codec="deflate")


def placing():
    """Where the pixels lie, and what the CRS says."""
    image = picture("u8")[:1]

    def one(name, about, epsg=32633, transform=PLACE, crs="EPSG:32633", env=None, citation=None, kind="read", **options):
        gdal(f"{name}.tif", image, transform=transform, crs=crs, env=env, **options)
        entry(f"{name}.tif", about, "u8", image.shape, "px_u8.bin", epsg=epsg, transform=list(transform)[:6],
              citation=citation, kind=kind)

    def point(out):
        out.update_tags(AREA_OR_POINT="Point")

    gdal("pixel_is_point.tif", image, then=point)
    entry("pixel_is_point.tif", "RasterPixelIsPoint: the tie point is the centre of a pixel; the transform given here "
          "is of corners", "u8", image.shape, "px_u8.bin")
    one("south_up", "rows run north (positive e)", transform=Affine(10, 0, 500000, 0, 10, 4500000))
    one("rotated", "ModelTransformation with rotation", transform=Affine.translation(500000, 4600000)
        * Affine.rotation(30) * Affine.scale(10, -10))
    one("geographic", "degrees", epsg=4326, crs="EPSG:4326", transform=Affine(0.001, 0, 14.5, 0, -0.001, 45.9))
    one("no_crs", "a transform and no CRS", epsg=None, crs=None)
    own = CRS.from_proj4("+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +R=6371228 +units=m +no_defs")
    named = CRS.from_wkt(own.to_wkt().replace('PROJCS["unknown"', 'PROJCS["Sphere of my own"'))
    one("user_crs", "a user-defined CRS with a citation", epsg=None, crs=named, citation="Sphere of my own")
    scaling()


def scaling():
    image = picture("i16")[:2]

    def words(out):
        out.scales, out.offsets, out.descriptions = (0.01, 0.5), (273.15, -1.0), ("t2m", "wind & <rain>")

    gdal("scaled.tif", image, then=words, compress="deflate", **tiled())
    entry("scaled.tif", "scale, offset and description per band", "i16", image.shape, "px_i16.bin", layout="tiles",
          codec="deflate", scales=[0.01, 0.5], offsets=[273.15, -1.0], descriptions=["t2m", "wind & <rain>"])


def overviews():
    def build(method):
        return lambda out: out.build_overviews([2, 4], method)

    from rasterio.enums import Resampling
    for name, method, planar in (("overviews_average", Resampling.average, "pixel"),
                                 ("overviews_planar", Resampling.nearest, "band")):
        image = picture("u16", 130, 150, 2)
        gdal(f"{name}.tif", image, compress="deflate", predictor=2, interleave=planar, nodata=0, **tiled())
        with rasterio.open(OUT / f"{name}.tif", "r+") as out:
            build(method)(out)
        add_levels(f"{name}.tif", "two overviews after the image, by gdaladdo", image, planar,
                   raw("px_overviews.bin", image))
    image = picture("u16", 150, 166, 1)
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", count=1, height=150, width=166, dtype="uint16", crs="EPSG:32633",
                         transform=PLACE, nodata=0) as out:
            out.write(image)
        with memory.open() as plain:
            copy(plain, OUT / "cog.tif", driver="COG", compress="DEFLATE", predictor="STANDARD", blocksize=32,
                 overview_resampling="AVERAGE")
    add_levels("cog.tif", "GDAL's COG: ghost area, coarse levels first", image, "pixel")


def add_levels(file, about, image, planar, full=None):
    levels = []
    for i in range(9):
        try:
            with rasterio.open(OUT / file, overview_level=i) as level:
                pixels = level.read()
        except rasterio.errors.RasterioIOError:
            break
        levels.append([level.height, level.width, raw(f"px_{file[:-4]}_{i}.bin", pixels)])
    entry(file, about, "u16", image.shape, full or raw(f"px_{file[:-4]}.bin", image), nodata=0, overviews=levels,
          layout="tiles", codec="deflate", predictor=2, interleave=planar)


def refused():
    """Valid files that the reader of this stage does not know: each must be refused by the name of what is missing."""
    one = picture("u8")[:1]
    three = picture("u8")
    for name, names, image, options in (
            ("lzw", ["LZW"], picture("u16")[:1], dict(compress="lzw", predictor=2)),
            ("jpeg", ["JPEG"], three, dict(compress="jpeg", photometric="YCBCR")),
            ("packbits", ["PackBits"], one, dict(compress="packbits")),
            ("lerc", ["LERC"], picture("f32")[:1], dict(compress="lerc")),
            ("lzma", ["LZMA"], one, dict(compress="lzma")),
            ("webp", ["WebP"], three, dict(compress="webp", webp_lossless=True)),
            ("nbits1", ["1 bit"], (one > 100).astype("u1"), dict(nbits=1)),
            ("nbits12", ["12 bit"], picture("u16")[:1] >> 4, dict(nbits=12)),
            ("complex", ["complex"], picture("f32")[:1].astype("c8"), dict())):
        try:
            gdal(f"refuse_{name}.tif", image, **options, **tiled())
        except rasterio.errors.RasterioError as why:
            print("skipped", name, why)
            continue
        dtype = "c64" if name == "complex" else {"uint8": "u8", "uint16": "u16", "float32": "f32"}[image.dtype.name]
        entry(f"refuse_{name}.tif", "valid, to be refused by name", dtype, image.shape, None, kind="refuse",
              names=names, layout="tiles", codec=name)


def patch(source, file, about, change):
    data = bytearray((OUT / source).read_bytes())
    data = change(data)
    (OUT / file).write_bytes(data)
    good = next(e for e in entries if e["file"] == source)
    entry(file, about, good["dtype"], good["shape"], None, kind="corrupt", layout=good["layout"], codec=good["codec"])


def tag(data, number):
    """Where the entry of a tag begins in the first directory of a classic little-endian file."""
    at = int.from_bytes(data[4:8], "little")
    for i in range(int.from_bytes(data[at:at + 2], "little")):
        place = at + 2 + 12 * i
        if int.from_bytes(data[place:place + 2], "little") == number:
            return place
    raise KeyError(number)


def put(number, value, size=4):
    def change(data):
        place = tag(data, number) + 8
        data[place:place + size] = value.to_bytes(size, "little")
        return data
    return change


def first_tile(data, of=324):
    """Offset of the first tile, through the array of offsets."""
    place = tag(data, of)
    count = int.from_bytes(data[place + 4:place + 8], "little")
    at = int.from_bytes(data[place + 8:place + 12], "little")
    return at if count == 1 else int.from_bytes(data[at:at + 4], "little")


def corrupt():
    def flip(data):
        at = first_tile(data)
        for i in range(10, 40):
            data[at + i] ^= 0x5A
        return data

    def offsets(value):
        def change(data):
            at = int.from_bytes(data[tag(data, 324) + 8:][:4], "little")
            data[at:at + 4] = value.to_bytes(4, "little")
            return data
        return change

    def lengths(value):
        def change(data):
            place = tag(data, 325)
            size = 2 if data[place + 2] == 3 else 4
            at = int.from_bytes(data[place + 8:place + 12], "little")
            data[at:at + size] = (value & (256 ** size - 1)).to_bytes(size, "little")
            return data
        return change

    def loop(data):
        at = int.from_bytes(data[4:8], "little")
        count = int.from_bytes(data[at:at + 2], "little")
        data[at + 2 + 12 * count:at + 6 + 12 * count] = data[4:8]
        return data

    d, z = "tiles_plain_deflate.tif", "tiles64.tif"
    image = picture("u16")[:1]
    gdal(d, image, compress="deflate", **tiled())
    entry(d, "the file that the corrupt ones are made of", "u16", image.shape, "px_u16.bin", layout="tiles",
          codec="deflate")
    patch(d, "corrupt_half.tif", "cut in the middle of the pixels", lambda b: b[:len(b) // 2])
    patch(d, "corrupt_last_byte.tif", "the last byte is missing", lambda b: b[:-1])
    patch(d, "corrupt_header_only.tif", "eight bytes", lambda b: b[:8])
    patch(d, "corrupt_directory.tif", "cut inside the directory", lambda b: b[:int.from_bytes(b[4:8], "little") + 30])
    patch(d, "corrupt_empty.tif", "no byte at all", lambda b: b[:0])
    patch(d, "corrupt_text.tif", "not a TIFF", lambda b: bytearray(b"<html>404 Not Found</html>\n"))
    patch(d, "corrupt_deflate.tif", "bits flipped in the first tile", flip)
    patch(z, "corrupt_zstd.tif", "bits flipped in the first tile", flip)
    patch(d, "corrupt_offset.tif", "the first tile begins after the end", offsets(0xFFFF_FF00))
    patch(d, "corrupt_length_short.tif", "the first tile is said to have 3 bytes", lengths(3))
    patch(d, "corrupt_length_huge.tif", "the first tile is said to be longer than the file", lengths(0xFFFF_FFFF))
    patch(d, "corrupt_width_0.tif", "no columns", put(256, 0, 2))
    patch(d, "corrupt_size_bomb.tif", "60,000 rows with the tiles of 70", put(257, 60000, 2))
    patch(d, "corrupt_tile_bomb.tif", "tiles 65,520 pixels wide", put(322, 65520, 2))
    patch(d, "corrupt_tile_0.tif", "tiles without width", put(322, 0, 2))
    patch(d, "corrupt_samples_0.tif", "no samples per pixel", put(277, 0, 2))
    patch(d, "corrupt_directory_offset.tif", "the directory begins after the end",
          lambda b: b[:4] + (0x7FFF_FFFF).to_bytes(4, "little") + b[8:])
    data = loop(bytearray((OUT / d).read_bytes()))
    (OUT / "directory_loop.tif").write_bytes(data)
    entry("directory_loop.tif", "the directory names itself as the next one: read once, or an error, never for ever",
          "u16", image.shape, "px_u16.bin", kind="either", layout="tiles", codec="deflate")


def sidecar():
    image = picture("u8")[:1]
    gdal("sidecar.tif", image)
    (OUT / "sidecar.tif.aux.xml").write_text(
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <NoDataValue>7</NoDataValue>\n  </PAMRasterBand>\n</PAMDataset>\n')
    entry("sidecar.tif", "nodata 7 is said by the .aux.xml beside it: read, or named in a warning, never ignored in "
          "silence", "u8", image.shape, "px_u8.bin", kind="either", nodata=7)


def check():
    """GDAL, asked again, must agree with every expectation (for tifffile's files this is a second opinion)."""
    for e in entries:
        if e["kind"] in ("corrupt", "refuse"):
            continue
        with rasterio.open(OUT / e["file"]) as f:
            pixels = np.fromfile(OUT / e["pixels"], NP[e["dtype"]]).reshape(-1, *e["shape"][1:])[:e["shape"][0]]
            np.testing.assert_array_equal(f.read(), pixels, e["file"])
            assert f.dtypes[0] == GDAL[e["dtype"]] and list(f.transform)[:6] == e["transform"], (e, f.transform)
            assert (f.crs.to_epsg() if f.crs else None) == e["epsg"], (e["file"], f.crs)
            nodata = float("nan") if e["nodata"] == "nan" else e["nodata"]
            assert f.nodata == nodata or np.isnan(f.nodata) and np.isnan(nodata), (e["file"], f.nodata)
            assert list(f.descriptions) == e["descriptions"] and list(f.scales) == e["scales"], e["file"]
            assert f.profile["interleave"] == e["interleave"] or e["shape"][0] == 1, e["file"]
            assert (f.profile.get("compress") or "none") == e["codec"], (e["file"], f.profile)
            if e["mask"]:
                assert f.mask_flag_enums[0] == [MaskFlags.per_dataset]


def main():
    warnings.simplefilter("ignore")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for part in (matrix, predictors, containers, validity, placing, overviews, refused, corrupt, sidecar):
        part()
    check()
    text = ",\n".join(json.dumps(e) for e in entries)
    (OUT / "expected.json").write_text('{"files": [\n' + text + "\n]}\n")
    size = sum(p.stat().st_size for p in OUT.iterdir())
    print(f"{len(entries)} files described, {len(list(OUT.iterdir()))} written, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
