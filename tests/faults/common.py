"""What the fault loops share: processes of a run, a checker that knows only the job's parameters, tables.

Python's standard library only. The checker is written from the job's description (`tests/trial`), not from its code.
"""
import collections
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

MASK = (1 << 64) - 1


def mix(n):
    """One round of SplitMix64."""
    z = (n + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Verdict:
    """Records lost, duplicated and foreign; `wrong` says what else does not hold."""

    def __init__(self, found, expected):
        self.lost = sum(1 for i in expected if i not in found)
        self.duplicated = sum(n - 1 for n in found.values() if n > 1)
        self.foreign = sum(1 for i in found if i not in expected)
        self.wrong = []

    def bad(self):
        return bool(self.lost or self.duplicated or self.foreign or self.wrong)

    def __str__(self):
        words = f"{self.lost} lost, {self.duplicated} duplicated, {self.foreign} foreign"
        return "; ".join([words, *self.wrong])


def check_groups(groups, splits, records, keys):
    """The report of `--records`: every id once, under its key, and the sums agree with the ids."""
    found = collections.Counter(i for g in groups for i in g["ids"])
    verdict = Verdict(found, range(splits * records))
    if [g["key"] for g in groups] != sorted({i % keys for i in range(splits * records)}):
        verdict.wrong.append("other keys, or not in their order")
    for g in groups:
        xor = 0
        for i in g["ids"]:
            xor ^= mix(i)
        told, true = (g["count"], g["sum"], g["xor"]), (len(g["ids"]), sum(g["ids"]), xor)
        if told != true or any(i % keys != g["key"] for i in g["ids"]):
            verdict.wrong.append(f"key {g['key']}: {told} is told, {true} came")
    return verdict


def check_numbers(numbers, splits):
    return Verdict(collections.Counter(numbers), range(splits))


def check_folder(folder, splits, records):
    """Files of ids, one a line; hidden ones do not count."""
    found = collections.Counter()
    for path in pathlib.Path(folder).iterdir():
        if not path.name.startswith("_"):
            found.update(int(line) for line in path.read_text().split())
    return Verdict(found, range(splits * records))


def stat(pid):
    """State letter and parent of a process, or nothing when it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return None
    return fields[0], int(fields[1])


def lives(pid):
    told = stat(pid)
    return told is not None and told[0] not in "ZX"


def children(pid):
    """Living children, those that stand still too."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            told = stat(name)
            if told and told[1] == pid and told[0] not in "ZX":
                found.append(int(name))
    return sorted(found)


def send(pid, what):
    """True when the process was there to get it."""
    try:
        os.kill(pid, what)
        return True
    except ProcessLookupError:
        return False


def gone_within(pids, seconds):
    """Seconds until the last of them was gone; None when one lives on."""
    began = time.monotonic()
    while any(lives(p) for p in pids):
        if time.monotonic() - began > seconds:
            return None
        time.sleep(0.002)
    return time.monotonic() - began


class Room:
    """A folder for runs, with a state folder of its own."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="mapfold-faults-")
        self.path = pathlib.Path(self.temporary.name)

    def start(self, command, environment=None):
        """Starts a program; what it says goes to files, so that no pipe holds it back."""
        out, err = open(self.path / "out", "wb"), open(self.path / "err", "wb")
        env = {**os.environ, "XDG_STATE_HOME": str(self.path / "state"), "NO_COLOR": "1", **(environment or {})}
        with out, err:
            return subprocess.Popen(command, cwd=self.path, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)

    def said(self):
        return (self.path / "out").read_text(), (self.path / "err").read_text(errors="replace")

    def events(self):
        """The event log of the newest job."""
        logs = sorted((self.path / "state").rglob("events.ndjson"), key=lambda p: p.stat().st_mtime)
        return [json.loads(line) for line in logs[-1].read_text().splitlines()] if logs else []


def table(rows):
    """Rows of cells as Markdown, the first one a heading."""
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(rows[0]))]
    line = lambda r: "| " + " | ".join(str(c).rjust(w) for c, w in zip(r, widths)) + " |"
    rule = "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])


KILL, STOP, CONT = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT
