"""Bytes from and to stores, and a job that reads there: client CPU, wall and peak memory, medians of interleaved runs.

usage: throughput.py DATA --mapfold BINARY --aws AWS_CLI [--mib 1024] [--repeat 3] [--page FILE]

DATA has the scene `d10980` of scene.py. The environment says where the servers are, as `cluster/part.sh hdfs,s3 env`
prints it. CPU is that of the client alone: the servers are other processes, on the same cores.
"""
import argparse
import os
import shutil
import sys
from datetime import date
from pathlib import Path

import measure
import numpy as np


class Bench:
    def __init__(self, a):
        self.a, self.lines = a, []
        self.folder = a.data / "throughput"
        self.folder.mkdir(exist_ok=True)
        self.big = self.folder / f"random-{a.mib}"
        if not self.big.exists():
            rng = np.random.default_rng(5)
            with open(self.big, "wb") as out:
                for _ in range(a.mib):
                    out.write(rng.bytes(1 << 20))
        self.back = self.folder / "back"

    def mapfold(self, *words):
        return [self.a.mapfold, *words]

    def table(self, heading, contenders, before):
        got = measure.turns(contenders, self.a.repeat, before)
        self.lines += [f"\n**{heading}**\n", "| | client CPU s | wall s | peak MB |", "|---|---:|---:|---:|"]
        self.lines += [f"| {name} | {r['cpu']:.2f} | {r['wall']:.2f} | {r['peak']:.0f} |" for name, r in got.items()]
        return got

    def checked(self):
        """The bytes that came back are those that went."""
        if measure.run(["cmp", str(self.big), str(self.back)])["rc"]:
            sys.exit("other bytes came back")
        self.back.unlink()

    def copies(self, store, url, others):
        """`others`: (name, command to put, command to get); they replace what is there"""
        def gone(name):
            if name == "mapfold cp":
                measure.run([str(w) for w in self.mapfold("rm", url)])
        puts = {"mapfold cp": self.mapfold("cp", "-q", "--parents", self.big, url)} | {name: put for name, put, _ in others}
        self.table(f"{self.a.mib} MiB to {store}", puts, gone)
        gets = {"mapfold cp": self.mapfold("cp", "-q", url, self.back)} | {name: get for name, _, get in others}
        self.table(f"{self.a.mib} MiB from {store}", gets, lambda _: self.back.unlink(missing_ok=True))
        self.checked()

    def ndvi(self, stores):
        scene = self.a.data / "d10980"
        red, nir = (next(scene.rglob(f"*{band}*.tif")) for band in ("B04", "B08"))
        out = self.folder / "out.tif"

        def job(red, nir):
            return self.mapfold("run", "ndvi", "--red", red, "--nir", nir, "--out", out, "-q", "--format", "gtiff",
                                "--compress", "deflate", "--level", "6", "--threads", "2")
        jobs = {"local": job(red, nir)}
        for name, url in stores.items():
            for band in (red, nir):
                copy = self.mapfold("cp", "-q", "--overwrite", band, f"{url}/{band.name}")
                if (got := measure.run([str(w) for w in copy]))["rc"]:
                    sys.exit(got["said"])
            jobs[name] = job(f"{url}/{red.name}", f"{url}/{nir.name}")
        got = self.table("NDVI of two 10980² bands to a local GeoTIFF, DEFLATE 6, inputs", jobs,
                         lambda _: out.unlink(missing_ok=True))
        first = got["local"]["wall"]
        self.lines += ["", "Wall against local: " + ", ".join(f"{n} {r['wall'] / first:.2f}" for n, r in got.items())]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", type=Path)
    p.add_argument("--mapfold", required=True)
    p.add_argument("--aws", required=True)
    p.add_argument("--mib", type=int, default=1024)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--page", type=Path)
    a = p.parse_args()
    bench = Bench(a)
    hdfs, s3 = os.environ["MAPFOLD_PART_HDFS"].rstrip("/"), os.environ["MAPFOLD_PART_S3"].rstrip("/")
    tool = os.environ["MAPFOLD_PART_HDFS_COMMAND"]
    bench.copies("HDFS", f"{hdfs}/bench/ours", [
        ("hdfs dfs", [tool, "dfs", "-put", "-f", bench.big, f"{hdfs}/bench/theirs"],
         [tool, "dfs", "-get", "-f", f"{hdfs}/bench/theirs", bench.back])])
    bench.copies("S3 (MinIO)", f"{s3}/bench/ours", [
        ("AWS CLI", [a.aws, "s3", "cp", "--quiet", bench.big, f"{s3}/bench/theirs"],
         [a.aws, "s3", "cp", "--quiet", f"{s3}/bench/theirs", bench.back])])
    bench.ndvi({"HDFS": f"{hdfs}/bench", "S3 (MinIO)": f"{s3}/bench"})
    print("\n".join(bench.lines))
    if a.page:
        head = f"Written by `bench/throughput.sh` on {date.today()}, {os.cpu_count()} cores, servers on the same machine;"
        a.page.write_text("\n".join([head, f"medians of {a.repeat} runs that take turns.", *bench.lines]) + "\n")
    shutil.rmtree(bench.folder)


if __name__ == "__main__":
    main()
