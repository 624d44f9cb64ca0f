"""Runs one command; wall seconds, CPU seconds of its process tree, peak memory, exit status.

CPU is user + sys of the command and of every descendant that was waited for (`wait4`). `peak` is the kernel's own high
water mark (VmHWM) while the command is one process; with several, the largest sum of their resident sizes that was
seen, sampled every 5 ms, which counts shared pages more than once. `largest` is the highest VmHWM of any one process.
"""
import os
import resource
import subprocess
import tempfile
import threading
import time

PAGE = resource.getpagesize()


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


def run(command, env=None, keep=2000):
    """`command` is a list. The last `keep` characters that it says come back as `said`."""
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
        text.seek(0)
        return dict(rc=process.returncode, wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=peak[0] / 1e6,
                    largest=peak[1] / 1e6, said=text.read()[-keep:])
