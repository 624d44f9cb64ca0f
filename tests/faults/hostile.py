#!/usr/bin/env python3
"""Ten thousand bad connections to the coordinator's door, from before its members come in to the end of the job.

    python3 tests/faults/hostile.py --bin TARGET/debug

Kinds: junk, eight bytes, silence, half of a real hello, a whole real hello and then junk (a stranger with the right
words and the wrong secret), a hello again and again, a record of TLS. The hello is taken from a member that is started
by hand and sent to this script. What a recorded whole handshake is worth is tested in `mapfold-wire` (tests/hostile).
Printed: who was let in, and how long the job took with and without them.
"""
import argparse
import collections
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

from common import Room, check_numbers, children, table

ATTACKERS = 8
HELD = 16
JOB = "--millis 20 --mode pseudo --workers 4 --threads 1 --json"


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder of mapfold-trial")
    p.add_argument("--connections", type=int, default=10_000)
    p.add_argument("--splits", type=int, default=2400, help="of 20 ms; the job must outlast the storm")
    return p.parse_args()


def port_of(pid):
    """The port on which a process listens."""
    inodes = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            inodes.add(re.sub(r"\D", "", os.readlink(f"/proc/{pid}/fd/{fd}")))
    except OSError:
        return None
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[9] in inodes:
            return int(words[1].split(":")[1], 16)
    return None


def real_hello(program):
    """What a member says first, to a listener that is nobody."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        place = f"job={'0' * 32},index=0,members=0,generation=0,meet=127.0.0.1:{door.getsockname()[1]},tls=no"
        member = subprocess.Popen([program, "--mapfold-member", place], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        member.stdin.write(b"ab" * 32 + b"\n")
        member.stdin.flush()
        door.settimeout(10)
        said = door.accept()[0].recv(4096)
        member.kill()
        member.wait()
    return said


def attack(n, port, hello):
    """One bad connection; it is given back while it is of use to keep it open."""
    s = socket.create_connection(("127.0.0.1", port), timeout=5)
    junk = bytes((i * 167 ^ n) & 255 for i in range(200))
    kind = n % 7
    if kind == 2:
        return s
    what = [junk, junk[:8], b"", hello[: n % len(hello)], hello + junk, hello * 3, b"\x16\x03\x03\xff\xff" + bytes(3000)]
    s.sendall(what[kind])
    if n % 2:
        return s
    s.close()
    return None


def flood(first, o, main, hello, sent):
    held, n = collections.deque(), first
    port = None
    while port is None and main.poll() is None:
        port = port_of(main.pid)
    while n < o.connections and main.poll() is None:
        try:
            s = attack(n, port, hello)
            sent[first] += 1
        except OSError:
            s = None
        if s:
            held.append(s)
        if len(held) > HELD:
            held.popleft().close()
        n += ATTACKERS


def run(o, hello, splits):
    room, sent = Room(), [0] * ATTACKERS
    command = [f"{o.bin}/mapfold-trial", "--splits", str(splits), *JOB.split(), "-vv"]
    began = time.monotonic()
    main = room.start(command)
    threads = [threading.Thread(target=flood, args=(i, o, main, hello, sent)) for i in range(ATTACKERS if hello else 0)]
    [t.start() for t in threads]
    members = set()
    while main.poll() is None:
        members |= set(children(main.pid))
        time.sleep(0.005)
    took = time.monotonic() - began
    [t.join() for t in threads]
    out, err = room.said()
    assert main.returncode == 0, err
    door = re.search(r"the door: Counts \{ accepted: (\d+), unfit: (\d+), dropped: (\d+), displaced: (\d+)", err)
    counts = [int(n) for n in door.groups()] if door else ["?"] * 4
    report = json.loads(out)
    verdict = check_numbers(report["numbers"], splits)
    panics = err.count("panicked")
    good = not verdict.bad() and counts[0] == 4 and report["run"]["replaced"] == 0 and len(members) == 4 and panics == 0
    return [sum(sent), *counts, report["run"]["replaced"], panics, str(verdict), f"{took:.2f}"], took, good


def main():
    o = options()
    hello = real_hello(f"{o.bin}/mapfold-trial")
    assert hello.startswith(b"mapfoldW"), hello
    rows = [["", "sent", "accepted", "unfit", "dropped", "displaced", "replaced", "panics", "result", "wall, s"]]
    quiet, before, good = run(o, b"", o.splits)
    stormy, after, fine = run(o, hello, o.splits)
    rows += [["alone", *quiet], ["in the storm", *stormy]]
    print(table(rows))
    print(f"\nthe job took {after - before:+.2f} s longer; accepted are its four members")
    sys.exit(not (good and fine))


if __name__ == "__main__":
    main()
