"""What GDAL's `validate_cloud_optimized_geotiff.py --full-check=yes` asks of a file's bytes, told by rasterio's GDAL.

rio-cogeo's validation looks at the first block of each level only. Here every block counts: directories right behind
the ghost area and in order; every block of a level after those of the smaller one; and what the ghost area promises
of each block: its size in the 4 bytes before it, its last 4 bytes again behind it.
"""
import re
import struct


def ghost(file):
    """(what the ghost area promises, where the first directory must begin)."""
    file.seek(0)
    at = 16 if file.read(4)[2] == 43 else 8
    file.seek(at)
    found = re.match(rb"GDAL_STRUCTURAL_METADATA_SIZE=(\d{6}) bytes\n", file.read(43))
    if not found:
        return "", at
    size = int(found[1])
    at += 43 + size
    return file.read(size).decode("latin1"), at + at % 2


def blocks(data, overview):
    """(offset, size) of all blocks of all bands of a level that are there; `overview` is None for the full image."""
    options = {} if overview is None else dict(ovr=overview)
    divide = 1 if overview is None else 2 ** (overview + 1)
    rows, cols = data.block_shapes[0]
    for band in data.indexes:
        for y in range(-(-(-(-data.height // divide)) // rows)):
            for x in range(-(-(-(-data.width // divide)) // cols)):
                offset = data.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=band, **options)
                if offset:
                    yield int(offset), int(data.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band, **options))


def faults(path, data):
    """Texts that say what is wrong with the layout of an open dataset; `path` is its file."""
    count = len(data.overviews(1))
    levels = [None, *range(count)]
    directories = [int(data.get_tag_item("IFD_OFFSET", "TIFF", bidx=1, **({} if k is None else dict(ovr=k)))) for k in levels]
    with open(path, "rb") as file:
        promises, first = ghost(file)
        wrong = [] if directories[0] == first else [f"the first directory is at {directories[0]}, should be at {first}"]
        if directories != sorted(directories):
            wrong.append(f"directories are not in order: {directories}")
        end = directories[-1]
        for level in reversed(levels):
            found = list(blocks(data, level))
            if found and min(found)[0] < end:
                wrong.append(f"a block of overview {level} is at {min(found)[0]}, before the end of what precedes it, {end}")
            end = max([end, *(offset + size for offset, size in found)])
            wrong += [text for block in found for text in frame_faults(file, promises, *block)]
    return wrong[:10]


def frame_faults(file, promises, offset, size):
    file.seek(offset - 4)
    leader, body, trailer = struct.unpack("<I", file.read(4))[0], file.read(size), file.read(4)
    if "BLOCK_LEADER=SIZE_AS_UINT4" in promises and leader != size:
        yield f"the block at {offset} has {size} bytes, the 4 bytes before it say {leader}"
    if "BLOCK_TRAILER=LAST_4_BYTES_REPEATED" in promises and size >= 4 and trailer != body[-4:]:
        yield f"the last 4 bytes of the block at {offset} are not repeated behind it"
