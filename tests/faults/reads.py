#!/usr/bin/env python3
"""What a storm of faults costs a job that reads from an S3 server: time with and without, and whether the bytes are the same.

    cluster/part.sh s3 up && eval "$(cluster/part.sh s3 env)"
    python3 tests/faults/reads.py --bin TARGET/release

One proxy stands before MinIO and fails 5 % of the requests with 500 or 503, resets 1 %, loses 1 % of the answers and cuts
1 % (`cluster/fault_proxy.py`); another one does nothing, so that both runs pay for a proxy. Runs alternate; the medians
are compared. Ends with code 1 when a digest differs or the storm more than doubles the time.
"""
import argparse
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from common import table

STORM = "--error-500 0.025 --error-503 0.025 --reset 0.01 --lost-answer 0.01 --cut 0.01"
PROXY = pathlib.Path(__file__).resolve().parents[2] / "cluster/fault_proxy.py"


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder of mapfold")
    p.add_argument("--size", type=int, default=8192, help="edge of the scene in pixels")
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--most", type=float, default=2.0, help="the ratio that is still good")
    return p.parse_args()


class Proxy:
    """A proxy before the server of this environment."""

    def __init__(self, more):
        to = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
        command = [sys.executable, "-B", str(PROXY), "--to", to, *more.split()]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = "http://" + json.loads(self.child.stdout.readline())["listen"]
        self.requests = self.faults = 0

    def close(self):
        with urllib.request.urlopen(self.address + "/__faults", timeout=20) as answer:
            did = json.load(answer)
        self.child.kill()
        self.requests, self.faults = did["chosen"] + did["passed"], sum(did["faults"].values())


def mapfold(args, where, *words, endpoint=None):
    env = dict(os.environ, XDG_STATE_HOME=str(where / "state"), NO_COLOR="1")
    if endpoint:
        env.update(AWS_ENDPOINT_URL=endpoint, AWS_ENDPOINT=endpoint)
    done = subprocess.run([f"{args.bin}/mapfold", *words], cwd=where, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def one(args, where, scene, proxy):
    """Seconds and digest of one run through a proxy."""
    begun = time.monotonic()
    words = ["run", "ndvi", *scene, "--out", "out.tif", "--overwrite", "-q", "--mode", "pseudo", "--workers", "2"]
    words += ["--tile", "256", "--blocksize", "256"]  # Many small reads: a request a split and band, or more.
    mapfold(args, where, *words, endpoint=proxy.address)
    return time.monotonic() - begun, hashlib.sha256((where / "out.tif").read_bytes()).hexdigest()


def main():
    args = options()
    args.bin = os.path.abspath(args.bin)
    with tempfile.TemporaryDirectory(prefix="mapfold-reads-") as folder:
        where = pathlib.Path(folder)
        made = mapfold(args, where, "gen", "scene", "scene", "--size", str(args.size), "--bands", "B04,B08")
        files = [line.strip() for line in made.splitlines() if line.strip().endswith(".tif")]
        there = f"{os.environ['MAPFOLD_PART_S3']}/reads-{os.getpid()}"
        mapfold(args, where, "cp", *files, f"{there}/", "-q")
        scene = [w for flag, f in zip(("--red", "--nir"), files) for w in (flag, f"{there}/{pathlib.Path(f).name}")]
        calm, storm, rows = [], [], [("run", "calm", "storm", "requests", "faults")]
        digests = set()
        for n in range(args.runs):
            times = []
            for more, kept in (("", calm), (f"--seed {n + 1} {STORM}", storm)):
                proxy = Proxy(more)
                seconds, digest = one(args, where, scene, proxy)
                proxy.close()
                kept.append(seconds)
                times.append(f"{seconds:.2f} s")
                digests.add(digest)
            rows.append((n + 1, *times, proxy.requests, proxy.faults))
        mapfold(args, where, "rm", "-r", there, "-q")
    print(table(rows))
    ratio = statistics.median(storm) / statistics.median(calm)
    print(f"{len(digests)} digest(s); the storm takes {ratio:.2f} times as long (at most {args.most} is good)")
    sys.exit(0 if len(digests) == 1 and ratio <= args.most else 1)


if __name__ == "__main__":
    main()
