"""Our lines and sort records beside those of Hadoop's own Java classes.

usage: hadoop_lines.py FOLDER [CASES]

FOLDER holds our programs `lines_of` and `tera_records` (`cargo build --release -p mapfold-records --examples`, then
target/release/examples). Needs a JDK and, once, Maven and a network. Random texts full of newlines, delimiters and byte
order marks are cut into random splits; each split is read by both. Delimiters that overlap themselves are left out when
a file is cut: Hadoop loses and doubles lines there, by design ours does not.
Prints one JSON object; exit 0 = equal, 1 = not.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "hadoop"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mapfold" / "hadoop-3.4.2"
PIECES = [b"a", b"bc", b"\n", b"\r", b"\r\n", b"\t", b"||", b"|-", b"-|", b"\xef\xbb\xbf", b"\n\n", b"0123456789" * 3]
WHOLE = [b"\n\n", b"||", b"abab"]  # overlap themselves
CUT = [None, None, None, b"|", b"|-", b"-|\n", b"\r\n", b"bc"]


def java(main, *arguments):
    lib = CACHE / "lib"
    if not lib.exists():
        subprocess.run(["mvn", "-q", "-f", HERE / "pom.xml", f"-Doracle.lib={lib}",
                        "dependency:copy-dependencies"], check=True)
    classes, path = CACHE / "classes", f"{CACHE}/lib/*"
    sources = sorted(HERE.glob("*.java"))
    subprocess.run(["javac", "-cp", path, "-d", classes, *sources], check=True)
    command = ["java", "-cp", f"{classes}:{path}", main, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_cases(folder, count):
    """Splits of `count` random texts, one line each: path, start, length, delimiter in hexadecimal or `-`."""
    rng = random.Random(42)
    for n in range(count):
        text = (b"\xef\xbb\xbf" if rng.random() < 0.3 else b"") + b"".join(rng.choices(PIECES, k=rng.randrange(40)))
        path = folder / f"{n}.txt"
        path.write_bytes(text)
        whole = rng.random() < 0.1
        delimiter = rng.choice(WHOLE if whole else CUT)
        inner = [] if whole else [rng.randrange(len(text) + 1) for _ in range(rng.randrange(5))]
        cuts = sorted({0, len(text), *inner})
        name = delimiter.hex() if delimiter else "-"
        for start, end in zip(cuts, cuts[1:]) if len(cuts) > 1 else [(0, 0)]:
            yield f"{path} {start} {end - start} {name}\n"


def differing(cases, ours, theirs):
    """The first case that comes out differently, with both answers."""
    for case, a, b in zip(cases, ours.split("case ")[1:], theirs.split("case ")[1:]):
        if a != b:
            text = Path(case.split(" ")[0]).read_bytes()
            return dict(case=case.strip(), text=repr(text), ours=a.split("\n"), hadoop=b.split("\n"))
    return None if ours == theirs else dict(lines_of_ours=len(ours), of_hadoop=len(theirs))


def lines(ours, folder, count):
    cases = list(make_cases(folder, count))
    listed = folder / "cases"
    listed.write_text("".join(cases))
    mine = subprocess.run([ours / "lines_of", listed], check=True, capture_output=True, text=True).stdout
    return dict(splits=len(cases), lines=mine.count("\n") - len(cases),
                difference=differing(cases, mine, java("HadoopLines", listed)))


def tera(ours, folder):
    difference = None
    for start, count in [(0, 10_000), (12_345_678_901, 1000)]:
        java("org.apache.hadoop.examples.terasort.TeraRecords", start, count, folder / "tera")
        mine = subprocess.run([ours / "tera_records", str(start), str(count)], check=True, capture_output=True).stdout
        if mine != (folder / "tera").read_bytes():
            difference = dict(start=start, count=count)
    return dict(records=11_000, difference=difference)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    ours, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with tempfile.TemporaryDirectory() as folder:
        verdict = dict(lines=lines(ours, Path(folder), count), tera=tera(ours, Path(folder)))
    print(json.dumps(verdict, indent=1))
    sys.exit(any(part["difference"] for part in verdict.values()))


main()
