"""Count, mean, std and a position-weighted mean of a result raster, so that answers can be compared (not timed)."""
import json
import sys

import numpy as np
import rasterio


def summary(path):
    with rasterio.open(path) as data:
        count = total = squares = placed = 0.0
        for y in range(0, data.height, 1024):
            window = ((y, min(y + 1024, data.height)), (0, data.width))
            pixels = data.read(1, window=window).astype("f8")
            ok = (data.read_masks(1, window=window) > 0) & np.isfinite(pixels)
            value = np.where(ok, pixels, 0)
            row, column = np.arange(y, y + pixels.shape[0]) % 997, np.arange(pixels.shape[1]) % 991
            count, total, squares = count + ok.sum(), total + value.sum(), squares + (value * value).sum()
            placed += (value * (row[:, None] * 31 + column[None, :])).sum()  # finds shifted and transposed blocks
        mean = total / count
        return [data.height, data.width, int(count), mean, max(squares / count - mean * mean, 0) ** 0.5, placed / count]


if __name__ == "__main__":
    print(json.dumps(summary(sys.argv[1])))
