#!/usr/bin/env python3
"""One job by one peer, as a careful user of that peer writes it today.

usage: peers.py ndvi|stats rasterio|rasterio_mt|dask RED [NIR OUT] [--threads 2] [--default]

Tuned where it matters: windows on tile borders, a GDAL block cache of 64 MB (the default of 5 % of the memory is slower
and larger), one thread per numeric library, dask with lock=False for reads and chunks of 1024 (512 and 2048 were not
better). --default leaves the output's codec and layout to the tool, as a first try does.
"""
import argparse
import json
import os
import threading

os.environ.setdefault("GDAL_CACHEMAX", "64")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

EQUAL = dict(tiled=True, blockxsize=512, blockysize=512, compress="deflate", predictor=3, zlevel=6, BIGTIFF="IF_SAFER")


def windows(height, width, size):
    from rasterio.windows import Window
    for y in range(0, height, size):
        for x in range(0, width, size):
            yield Window(x, y, min(size, width - x), min(size, height - y))


def index(red, nir):
    import numpy as np
    r, n = red.astype("f4"), nir.astype("f4")
    with np.errstate(divide="ignore", invalid="ignore"):
        out = (n - r) / (n + r)
    out[(red == 0) | (nir == 0)] = np.nan
    return out


def output(a, like, **more):
    import rasterio
    profile = dict(driver="GTiff", width=like.width, height=like.height, count=1, crs=like.crs,
                   transform=like.transform, dtype="float32", nodata=float("nan"))
    return rasterio.open(a.out, "w", **profile, **({} if a.default else EQUAL | more))


def ndvi_rasterio(a):
    import rasterio
    with rasterio.open(a.red) as red, rasterio.open(a.nir) as nir, output(a, red) as out:
        for window in windows(red.height, red.width, 512):
            out.write(index(red.read(1, window=window), nir.read(1, window=window)), 1, window=window)


def ndvi_rasterio_mt(a):
    """The form of rasterio's page on concurrency: reads in parallel, a lock for the write, GDAL's own encoder threads."""
    import rasterio
    from concurrent.futures import ThreadPoolExecutor
    local, lock = threading.local(), threading.Lock()

    def open_here(path):
        opened = local.__dict__.setdefault("opened", {})
        if path not in opened:
            opened[path] = rasterio.open(path)
        return opened[path]

    with rasterio.open(a.red) as red, output(a, red, num_threads=str(a.threads)) as out:
        def one(window):
            pixels = index(open_here(a.red).read(1, window=window), open_here(a.nir).read(1, window=window))
            with lock:
                out.write(pixels, 1, window=window)

        with ThreadPoolExecutor(a.threads) as pool:
            list(pool.map(one, windows(red.height, red.width, 1024)))


def open_lazily(path):
    import rioxarray
    return rioxarray.open_rasterio(path, chunks=dict(x=1024, y=1024, band=-1), lock=False)


def ndvi_dask(a):
    import dask
    dask.config.set(scheduler="threads", num_workers=a.threads)
    red, nir = open_lazily(a.red), open_lazily(a.nir)
    r, n = red.where(red != 0).astype("float32"), nir.where(nir != 0).astype("float32")
    out = ((n - r) / (n + r)).astype("float32").rio.write_crs(red.rio.crs).rio.write_nodata(float("nan"))
    out.rio.to_raster(a.out, lock=threading.Lock(), **({} if a.default else dict(EQUAL, num_threads=str(a.threads))))


def show(count, total, squares, low, high):
    mean = total / count
    print(json.dumps(dict(count=int(count), min=int(low), max=int(high), mean=float(mean),
                          std=float(max(squares / count - mean * mean, 0) ** 0.5))))


def stats_rasterio(a):
    """A histogram of all 65,536 values holds every statistic of a uint16 band."""
    import numpy as np
    import rasterio
    times = np.zeros(65536, "i8")
    with rasterio.open(a.red) as red:
        for window in windows(red.height, red.width, 512):
            times += np.bincount(red.read(1, window=window).ravel(), minlength=65536)
    times[0] = 0
    value, known = np.arange(65536.0), np.nonzero(times)[0]
    show(times.sum(), (times * value).sum(), (times * value * value).sum(), known[0], known[-1])


def stats_dask(a):
    import dask
    import dask.array as da
    dask.config.set(scheduler="threads", num_workers=a.threads)
    x = open_lazily(a.red).data.ravel()
    f = x.astype("f8")
    show(*dask.compute((x != 0).sum(), f.sum(), (f * f).sum(), da.where(x != 0, x, 65535).min(), x.max()))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("job")
    p.add_argument("peer")
    p.add_argument("red")
    p.add_argument("nir", nargs="?")
    p.add_argument("out", nargs="?")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--default", action="store_true")
    a = p.parse_args()
    globals()[f"{a.job}_{a.peer}"](a)


if __name__ == "__main__":
    main()
