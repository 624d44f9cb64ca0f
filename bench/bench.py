#!/usr/bin/env python3
"""Side by side with the peers, in one run: medians of CPU seconds, wall seconds and peak memory, as a table.

Contenders take turns (first all of them once, then all again, starting with another), so that a busy minute hits all
alike. Inputs are read once before, so that all find them in the page cache. Every NDVI is compared with the first
contender's answer. A tool that is not installed is named below the table, not left out in silence.

usage: bench.py --mapfold BINARY --data DIR [--only ndvi-2048,...] [--repeat 5] [--threads 2] [--table FILE]
                [--json FILE] [--floor-cmd 'FLOOR {red} {nir}']
  --mapfold none leaves ours out;  --floor-cmd adds decode + encode alone (crates/mapfold-raster/examples/floor.rs,
  one thread, no output) to the equal-codec NDVI workloads
"""
import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent
PEER = f"{sys.executable} {HERE}/peers.py"
OURS = "{mapfold} run ndvi --red {red} --nir {nir} --out {out} --threads {threads} -q"
EQUAL = "--format gtiff --compress deflate --level 6 --predictor 3 --blocksize 512 --overviews none"
CALC = ("gdal_calc.py --quiet --overwrite -A {red} -B {nir} --outfile={out} --type=Float32 --NoDataValue=-9999 "
        "--calc='numpy.where((A==0)|(B==0),-9999,(B.astype(numpy.float32)-A)/numpy.maximum(B.astype(numpy.float32)+A,1))'")
CO = "".join(f" --co={o}" for o in ("TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE", "ZLEVEL=6",
                                    "PREDICTOR=3", "BIGTIFF=IF_SAFER", "NUM_THREADS={threads}"))
NDVI_EQUAL = {
    "mapfold": f"{OURS} {EQUAL}",
    "rasterio, 2 threads": PEER + " ndvi rasterio_mt {red} {nir} {out} --threads {threads}",
    "rasterio, windows": PEER + " ndvi rasterio {red} {nir} {out}",
    "rioxarray + dask": PEER + " ndvi dask {red} {nir} {out} --threads {threads}",
    "gdal_calc.py": CALC + CO,
}
NDVI_DEFAULT = {
    "mapfold": OURS,
    "rasterio, windows": PEER + " ndvi rasterio {red} {nir} {out} --default",
    "rioxarray + dask": PEER + " ndvi dask {red} {nir} {out} --threads {threads} --default",
    "gdal_calc.py": CALC,
}
STATS = {
    "mapfold": "{mapfold} run stats {red} --json --threads {threads} -q",
    "rasterio, windows": PEER + " stats rasterio {red}",
    "rioxarray + dask": PEER + " stats dask {red} --threads {threads}",
    "gdalinfo -stats": "sh -c 'gdalinfo --config GDAL_PAM_ENABLED NO -stats {red}'",
}
WORKLOADS = {  # name: (size, commands, what)
    "ndvi-2048": (2048, NDVI_EQUAL, "NDVI 2048², tiled GeoTIFF, DEFLATE 6, predictor 3"),
    "ndvi-10980": (10980, NDVI_EQUAL, "NDVI 10980², tiled GeoTIFF, DEFLATE 6, predictor 3"),
    "ndvi-10980-default": (10980, NDVI_DEFAULT, "NDVI 10980², each tool's default output (ours: COG with overviews)"),
    "stats-5490": (5490, STATS, "statistics of one band, 5490²"),
}


def program(command):
    words = shlex.split(command)
    return shlex.split(words[2])[0] if words[0] == "sh" else words[0]


def contenders(name, a):
    """Commands of a workload that can run here; names of the tools that are not there."""
    commands = dict(WORKLOADS[name][1])
    if a.floor_cmd and commands.get("mapfold") == NDVI_EQUAL["mapfold"]:
        commands["mapfold floor (decode + encode alone)"] = a.floor_cmd
    if a.mapfold == "none":
        commands = {k: v for k, v in commands.items() if not k.startswith("mapfold")}
    filled = {tool: c.replace("{mapfold}", a.mapfold) for tool, c in commands.items()}
    absent = [tool for tool, c in filled.items() if not shutil.which(program(c))]
    return {tool: c for tool, c in filled.items() if tool not in absent}, absent


def once(command, scene, out, a):
    for old in out.parent.glob("*"):
        old.unlink()
    for key, value in dict(red=scene / "B04.tif", nir=scene / "B08.tif", out=out, threads=a.threads).items():
        command = command.replace("{%s}" % key, str(value))
    result = measure.run(shlex.split(command), env=dict(os.environ, GDAL_CACHEMAX="64", PYTHONWARNINGS="ignore"))
    result["size"] = out.stat().st_size / 1e6 if out.exists() else None
    return result


def answer(out):
    text = subprocess.run([sys.executable, HERE / "check.py", out], capture_output=True, text=True, check=True).stdout
    return json.loads(text)


def differs(one, other):
    return one[:3] != other[:3] or any(abs(x - y) > 1e-5 * max(abs(x), 1e-3) for x, y in zip(one[3:], other[3:]))


def workload(name, a, scratch):
    """Rows of medians of one workload, and the tools that were absent."""
    size, _, what = WORKLOADS[name]
    scene, out = Path(a.data) / f"d{size}", scratch / "out.tif"
    for band in scene.glob("*.tif"):
        band.read_bytes()
    commands, absent = contenders(name, a)
    runs, answers = {tool: [] for tool in commands}, {}
    for turn in range(a.repeat):
        order = list(commands)[turn % len(commands):] + list(commands)[:turn % len(commands)]
        for tool in order:
            result = once(commands[tool], scene, out, a)
            print(f"{name} {tool}: {result['cpu']:.2f} CPU s, {result['wall']:.2f} s, {result['peak']:.0f} MB", file=sys.stderr)
            if result["rc"]:
                sys.exit(f"{name}: {tool} failed with status {result['rc']}:\n{result['said']}")
            runs[tool].append(result)
            if turn == 0 and out.exists() and "floor" not in tool:
                answers[tool] = answer(out)
    wrong = [tool for tool in answers if differs(next(iter(answers.values())), answers[tool])]
    if wrong:
        sys.exit(f"{name}: other answers than {next(iter(answers))}: {wrong}: {answers}")
    return [row(what, tool, results) for tool, results in runs.items()], absent


def row(what, tool, results):
    def median(key):
        known = [r[key] for r in results if r[key] is not None]
        return statistics.median(known) if known else None

    return dict(what=what, tool=tool, runs=len(results), **{key: median(key) for key in ("cpu", "wall", "peak", "size")})


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"


def version(command):
    return subprocess.run(shlex.split(command), capture_output=True, text=True).stdout.strip()


def versions(a):
    from importlib.metadata import version as package
    known = [] if a.mapfold == "none" else [version(f"{a.mapfold} --version")]
    known += [f"{name} {package(name)}" for name in ("rasterio", "rioxarray", "dask", "numpy")]
    return ", ".join(known + ([version("gdalinfo --version").split(",")[0]] if shutil.which("gdalinfo") else []))


def table(rows, absent, a, load):
    lines = ["`" + shlex.join(["bench/run.sh", *a.given]) + "`", "",
             f"Machine: {machine()}, load {load:.1f} at the start, {time.strftime('%Y-%m-%d')}. {versions(a)}. "
             f"Medians of {a.repeat}, interleaved; {a.threads} threads where a tool has the choice.", ""]
    for what in dict.fromkeys(r["what"] for r in rows):
        lines += [f"**{what}**", "", "| tool | CPU s | wall s | peak MB | output MB |", "|---|---:|---:|---:|---:|"]
        for r in (r for r in rows if r["what"] == what):
            size = "" if r["size"] is None else f"{r['size']:.1f}"
            lines.append(f"| {r['tool']} | {r['cpu']:.2f} | {r['wall']:.2f} | {r['peak']:.0f} | {size} |")
        lines.append("")
    if absent:
        lines += ["Not installed, so not measured: " + ", ".join(sorted(absent)) + ".", ""]
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mapfold", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--only")
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--table")
    p.add_argument("--json")
    p.add_argument("--floor-cmd")
    p.add_argument("--given", nargs=argparse.REMAINDER, default=[], help="what the user typed after run.sh, for the table's head")
    a = p.parse_args()
    names = a.only.split(",") if a.only else list(WORKLOADS)
    unknown = [n for n in names if n not in WORKLOADS]
    if unknown:
        p.error(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    scratch = Path(a.data) / f"out-{os.getpid()}"
    scratch.mkdir(parents=True)
    load, rows, absent = os.getloadavg()[0], [], set()
    try:
        for name in names:
            more, gone = workload(name, a, scratch)
            rows, absent = rows + more, absent | set(gone)
    finally:
        shutil.rmtree(scratch)
    text = table(rows, absent, a, load)
    print(text)
    if a.table:
        Path(a.table).write_text(text)
    if a.json:
        Path(a.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
