"""Proofs that memory has a limit: large jobs in little memory, what the system measured, and that the result is right.

usage: limits.py FOLDER --tools TARGET [--only skew,sort,groups,law] [--quick]
exit status: 1 when a process went above its limit, a result is wrong, or a prediction is outside the law

skew     10 GB, 60 % of them one key, through reducers that wait: 2 processes of 256 MiB, in memory and through files
sort     4 GB of TeraGen's records in 512 MiB, by one process and by two; order and checksum checked
groups   5 million groups into one file, by one process and by two, in 128 MiB; the same bytes
law      measured <= predicted <= 1.25 x measured + 48 MiB, over jobs, sizes, threads and limits

Measured is VmHWM, the system's own high-water mark, the highest of any one process; FOLDER needs 14 GB of disk.
"""
import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import measure

MIB = 1 << 20
PAIR = ["--mode", "pseudo", "--workers", "2", "--threads", "1"]
MODES = {"1 process, 2 threads": ["--threads", "2"], "2 processes": PAIR}
faults = []


def run(line, what):
    """Runs a job with --json; its report, with the highest VmHWM of any process in MiB."""
    got = measure.run([*map(str, line), "--json", "--quiet"], keep=1 << 22)
    if got["rc"]:
        sys.exit(f"{what}: {' '.join(map(str, line))}\n{got['said'][-3000:]}")
    report = json.JSONDecoder().raw_decode(got["said"], got["said"].index("{"))[0]["run"]
    return dict(report, cpu=got["cpu"], wall=got["wall"], largest=got["largest"] * 1e6 / MIB,
                predicted=report["memory"]["predicted_bytes"] / MIB, told=report["memory"]["peak_bytes"] / MIB)


def line_of(what, limit, got, fine=True):
    peak = max(got["largest"], got["told"])
    verdict = "" if peak <= limit and fine else "ABOVE ITS LIMIT" if peak > limit else "WRONG"
    if verdict:
        faults.append(f"{what}: {verdict}")
    spilled = got.get("bytes_spilled", 0) / MIB
    cells = [limit, f"{peak:.0f}", f"{spilled:.0f}", f"{got['wall']:.1f}", f"{got['cpu']:.1f}", verdict]
    print(f"| {what} | {' | '.join(map(str, cells))} |", flush=True)


def head(what):
    print(f"\n| {what} | limit MiB | peak MiB | spilled MiB | wall s | CPU s | |\n|---|---:|---:|---:|---:|---:|---|", flush=True)


def skew(a):
    mib, limit = (512 if a.quick else 10_240), 256
    line = [a.tools / "examples/shuffled", "--splits", mib // 16, "--mib", 16, "--skew", 60, "--partitions", 32,
            "--reduce-millis", 200, "--scratch", a.folder, "--memory-limit", f"{limit}MiB", *PAIR]
    head(f"{mib} MiB, 60 % of one key, slow reducers")
    for shuffle in ("pipelined", "durable"):
        line_of(f"2 processes, {shuffle}", limit, run([*line, "--shuffle", shuffle], "skew"))


def sort(a):
    records, limit = (2_000_000 if a.quick else 40_000_000), 512 if not a.quick else 128
    made, tool = a.folder / f"teragen-{records}", a.tools / "examples/tera_records"
    if not made.exists():
        with open(f"{made}.part", "wb") as out:
            subprocess.run([tool, "0", str(records)], stdout=out, check=True)
        Path(f"{made}.part").rename(made)
    check = lambda files: subprocess.run([tool, "check", *files], capture_output=True, text=True)  # noqa: E731
    told = lambda done: done.stdout.strip().rpartition(",")[0]  # noqa: E731
    want = told(check([made]))
    head(f"sort of {records * 100 // 10**6} MB of TeraGen's records")
    for name, mode in MODES.items():
        out = a.folder / "sorted"
        shutil.rmtree(out, ignore_errors=True)
        got = run([a.tools / "mapfold", "run", "sort", made, "--format", "tera", "--out", out,
                   "--memory-limit", f"{limit}MiB", *mode], "sort")
        done = check(sorted(p for p in out.iterdir() if p.name.startswith("part-")))
        line_of(name, limit, got, done.returncode == 0 and told(done) == want)
        shutil.rmtree(out)
    print(f"\n{want}")


def make_groups(path, keys):
    import numpy as np
    rng = np.random.default_rng(3)
    with open(f"{path}.part", "w") as out:
        out.write("k,v\n")
        for _ in range(2):  # every key twice, far apart
            order = rng.permutation(keys)
            for at in range(0, keys, 1 << 18):
                some = order[at:at + (1 << 18)].tolist()
                out.write("".join(f"key{k},{k % 1000}.5\n" for k in some))
    Path(f"{path}.part").rename(path)


def groups(a):
    keys, limit = (200_000 if a.quick else 5_000_000), 128
    path, out, seen = a.folder / f"groups-{keys}.csv", a.folder / "groups-out.csv", set()
    if not path.exists():
        make_groups(path, keys)
    head(f"{keys} groups into one file")
    for name, mode in MODES.items():
        got = run([a.tools / "mapfold", "run", "aggregate", path, "--by", "k", "--agg", "v:mean,count,max", "--out", out,
                   "--overwrite", "--memory-limit", f"{limit}MiB", *mode], "groups")
        data = out.read_bytes()
        seen.add(hashlib.sha256(data).hexdigest())
        line_of(name, limit, got, data.count(b"\n") == keys + 1 and len(seen) == 1)
    out.unlink()


def law_inputs(a):
    """Texts and tables of several sizes: few and many distinct keys, short and long lines."""
    import numpy as np
    rng = np.random.default_rng(5)
    folder = a.folder / ("law-quick" if a.quick else "law")
    if (folder / "complete").exists():
        return folder
    folder.mkdir(exist_ok=True)
    for mb in (1, 32) if a.quick else (1, 32, 256):
        for name, distinct in (("few", 1000), ("many", 5_000_000)):
            with open(folder / f"{name}-{mb}.txt", "w") as out:
                while out.tell() < mb * 10**6:
                    picks = np.minimum(distinct ** rng.random(120_000), distinct - 1).astype(int).tolist()
                    out.write("".join(" ".join(f"w{i}" for i in picks[at:at + 8]) + "\n" for at in range(0, len(picks), 8)))
            with open(folder / f"{name}-{mb}.csv", "w") as out:
                out.write("k,v,w\n")
                while out.tell() < mb * 10**6:
                    k = rng.integers(0, distinct, 100_000).tolist()
                    out.write("".join(f"{k},{k % 997}.25,{i % 7}\n" for i, k in enumerate(k)))
    (folder / "complete").touch()
    return folder


JOBS = {
    "wordcount": ("txt", "wordcount {file} --out {out}"),
    "sort": ("txt", "sort {file} --out {out}"),
    "aggregate to a file": ("csv", "aggregate {file} --by k --agg v:mean,count --out {out}.csv"),
    "aggregate to a folder": ("csv", "aggregate {file} --by k,w --agg v:mean,std,nunique --out {out}"),
}


def law(a):
    folder, rows, broken = law_inputs(a), 0, 0
    print("\n| job, input, threads, limit | measured MiB | predicted MiB | law |\n|---|---:|---:|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=a.folder) as scratch:
        for job, (end, line) in JOBS.items():
            for file in sorted(folder.glob(f"*.{end}"), key=lambda p: (p.stat().st_size, p.name)):
                for threads in (1, 2, 8):
                    for limit in (128, 512, 4096):
                        words = line.format(file=file, out=f"{scratch}/out").split()
                        words += ["--overwrite", "--threads", threads, "--memory-limit", f"{limit}MiB"]
                        if not fits(a, words):
                            continue
                        got = run([a.tools / "mapfold", "run", *words], job)
                        peak, told = max(got["largest"], got["told"]), got["predicted"]
                        verdict = "low" if told < peak else "high" if told > 1.25 * peak + 48 else ""
                        rows, broken = rows + 1, broken + bool(verdict)
                        if verdict or a.all:
                            print(f"| {job}, {file.name}, {threads}, {limit} | {peak:.1f} | {told:.1f} | {verdict} |", flush=True)
    print(f"\n{rows} cells, {broken} outside the law")
    if broken:
        faults.append(f"law: {broken} of {rows} cells")


def fits(a, words):
    """Whether a run is planned at all: with many threads and little memory it is refused, and says what would do."""
    line = [str(a.tools / "mapfold"), "run", *map(str, words), "--explain"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode and "memory-limit" not in done.stderr:
        sys.exit(f"{' '.join(line)}\n{done.stderr}")
    return done.returncode == 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--tools", type=Path, required=True)
    p.add_argument("--only", default="skew,sort,groups,law")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--all", action="store_true", help="show the cells that keep the law, too")
    a = p.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    for part in a.only.split(","):
        dict(skew=skew, sort=sort, groups=groups, law=law)[part](a)
    for fault in faults:
        print(f"FAULT {fault}", file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
