"""Runs one command; wall seconds, CPU seconds of its process tree, peak memory, exit status.

CPU is user + sys of the command and of every descendant (`wait4`), also of those that outlive it: they become children
of this process, which waits for them (a JVM behind Python, say). The wall time is that of the command alone. `peak` is the kernel's own high
water mark (VmHWM) while the command is one process; with several, the largest sum of their resident sizes that was
seen, sampled every 5 ms, which counts shared pages more than once. `largest` is the highest VmHWM of any one process.
"""
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PAGE = resource.getpagesize()
PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 30  # seconds for what outlives a command


def tree(pid):
    """The process and all its descendants."""
    found, i = [pid], 0
    while i < len(found):
        try:
            for thread in os.listdir(f"/proc/{found[i]}/task"):
                with open(f"/proc/{found[i]}/task/{thread}/children") as f:
                    found += [int(child) for child in f.read().split()]
        except OSError:
            pass  # it has ended
        i += 1
    return found


def resident(pid):
    try:
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * PAGE
    except OSError:
        return 0


def high_water(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def watch(pid, stop, peak):
    while not stop.wait(0.005):
        pids = tree(pid)
        peak[0] = max(peak[0], high_water(pid) if len(pids) == 1 else sum(map(resident, pids)))
        peak[1] = max(peak[1], *map(high_water, pids))


def orphans():
    """CPU seconds of what the command has left running, when it has ended."""
    cpu, end = 0.0, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return cpu
        cpu += usage.ru_utime + usage.ru_stime if pid else 0
        time.sleep(0 if pid else 0.01)
    raise TimeoutError(f"the command has left a process that did not end in {PATIENCE} s")


def run(command, env=None, keep=2000):
    """`command` is a list. The last `keep` characters that it says come back as `said`."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryFile("w+") as text:
        start = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=text, stderr=subprocess.STDOUT)
        stop, peak = threading.Event(), [0, 0]
        watcher = threading.Thread(target=watch, args=(process.pid, stop, peak), daemon=True)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        stop.set()
        watcher.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime + orphans()
        text.seek(0)
        return dict(rc=process.returncode, wall=wall, cpu=cpu, peak=peak[0] / 1e6,
                    largest=peak[1] / 1e6, said=text.read()[-keep:])


def turns(contenders, repeat, before=lambda name: None):
    """{name: medians} of commands that take turns; `before` is done before each run of one."""
    runs = {name: [] for name in contenders}
    for turn in range(repeat):
        for name in list(contenders) if turn % 2 == 0 else list(contenders)[::-1]:
            before(name)
            command = [str(word) for word in contenders[name]]
            got = run(command, keep=1 << 20)
            if got["rc"]:
                sys.exit(f"{name}: {' '.join(command)}\n{got['said']}")
            print(f"{name}: {got['cpu']:.2f} CPU s, {got['wall']:.2f} s, {got['peak']:.0f} MB", file=sys.stderr)
            runs[name].append(got)
    return {name: {key: statistics.median(r[key] for r in all) for key in ("cpu", "wall", "peak", "largest")}
            for name, all in runs.items()}
