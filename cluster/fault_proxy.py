#!/usr/bin/env python3
"""A proxy that hurts HTTP requests on purpose, for tests of what stores survive.

usage: fault_proxy.py --to HOST:PORT [--listen HOST:PORT] [--seed N] [--RATE 0.05 ...] [--methods PUT,POST] [--path TEXT]

Prints one JSON line {"listen": "127.0.0.1:PORT"} when it is ready, then one for each fault that it did. Rates are between
0 and 1, of the requests that `--methods` and `--path` (a part of the target) choose:

  --error-500, --error-503   answered so, the server never sees the request
  --reset                    connection reset, the server never sees the request
  --lost-answer              the server does all of it, then the connection is reset: was it applied? nobody knows
  --cut                      the answer's head and half of its body, then a reset
  --delay                    the request waits --delay-ms before it goes on

What happens to the N-th chosen request follows from the seed and N alone, so a run is repeated by its seed as far as its
requests come in the same order. At most --in-a-row faults (default 3) hit one method and target in succession: a client
that retries more often than that must get through. GET /__faults gives the counts as JSON.

Bytes pass unchanged, so signatures over Host and headers hold. HTTP/1.1 without TLS; Python's standard library only.
"""

import argparse
import asyncio
import collections
import json
import random
import socket
import struct
import sys

KINDS = ("error_500", "error_503", "reset", "lost_answer", "cut", "delay")
BODILESS = (204, 304)
ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>injected fault</Message></Error>"
CODES = {500: ("Internal Server Error", "InternalError"), 503: ("Service Unavailable", "SlowDown")}


class Plan:
    """Which fault hits which request."""

    def __init__(self, args):
        self.rates = [(kind, getattr(args, kind)) for kind in KINDS]
        self.seed, self.most = args.seed, args.in_a_row
        self.methods = set(args.methods.upper().split(",")) if args.methods else None
        self.path = args.path
        self.chosen = self.passed = 0
        self.counts = collections.Counter()
        self.row = collections.Counter()

    def next(self, method, target):
        """The fault for this request, or None."""
        if (self.methods and method not in self.methods) or self.path not in target:
            self.passed += 1
            return None
        self.chosen += 1
        draw = random.Random(f"{self.seed}/{self.chosen}").random()
        kind = self.drawn(draw)
        if kind is None or (kind != "delay" and self.row[method, target] >= self.most):
            self.row.pop((method, target), None)
            return None
        if kind != "delay":
            self.row[method, target] += 1
        self.counts[kind] += 1
        print(json.dumps({"fault": kind, "request": self.chosen, "method": method, "target": target}), flush=True)
        return kind

    def drawn(self, draw):
        for kind, rate in self.rates:
            if draw < rate:
                return kind
            draw -= rate
        return None

    def report(self):
        return {"chosen": self.chosen, "passed": self.passed, "faults": dict(self.counts)}


class Head:
    """First line and headers of a message, with their bytes as they came."""

    def __init__(self, raw):
        self.raw = raw
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.first = first.split(" ", 2)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def chunked(self):
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self):
        return int(self.headers.get("content-length", 0))

    @property
    def closes(self):
        return self.headers.get("connection", "").lower() == "close"


async def read_head(reader):
    try:
        return Head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise ConnectionError("the head ended early") from end
        return None


async def body_pieces(reader, head, unframed=False):
    """The bytes of a body as they came; `unframed`: to the end of the connection, if no header says how long."""
    if head.chunked:
        while True:
            size = await reader.readuntil(b"\r\n")
            yield size
            count = int(size.split(b";")[0], 16)
            if count == 0:
                break
            yield await reader.readexactly(count + 2)
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            yield line
        yield b"\r\n"
    elif "content-length" in head.headers or not unframed:
        left = head.length
        while left:
            piece = await reader.read(min(left, 1 << 18))
            if not piece:
                raise ConnectionError("the body ended early")
            left -= len(piece)
            yield piece
    else:
        while piece := await reader.read(1 << 18):
            yield piece


async def passed_on(pieces, writer, most=None):
    """Writes a body on; `most`: only so many bytes."""
    sent = 0
    async for piece in pieces:
        if most is not None and sent + len(piece) > most:
            writer.write(piece[: most - sent])
            await writer.drain()
            return
        writer.write(piece)
        await writer.drain()
        sent += len(piece)


def reset(writer):
    """Ends a connection so that the peer sees a reset, not an end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Connection:
    """One client's connection, and ours to the server."""

    def __init__(self, plan, args, reader, writer):
        self.plan, self.args, self.reader, self.writer = plan, args, reader, writer
        self.server = None

    async def run(self):
        try:
            while (head := await read_head(self.reader)) and await self.one(head):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            reset(self.writer)
        finally:
            for writer in (self.writer, self.server and self.server[1]):
                if writer:
                    writer.close()

    async def one(self, head):
        """One request; False when the connection is over."""
        method, target = head.first[0], head.first[1]
        if target == "/__faults":
            await self.say(200, "OK", json.dumps(self.plan.report()), "application/json")
            return not head.closes
        kind = self.plan.next(method, target)
        if kind == "reset":
            reset(self.writer)
            return False
        if kind in ("error_500", "error_503"):
            await self.refuse(head, int(kind[-3:]))
            return not head.closes
        if kind == "delay":
            await asyncio.sleep(self.args.delay_ms / 1000)
        return await self.forward(head, method, kind)

    async def refuse(self, head, status):
        if head.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for _ in body_pieces(self.reader, head):
            pass
        reason, code = CODES[status]
        await self.say(status, reason, "" if head.first[0] == "HEAD" else ERROR.format(code=code), "application/xml")

    async def say(self, status, reason, text, kind):
        body = text.encode()
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def forward(self, head, method, kind):
        if self.server is None or self.server[0].at_eof():  # it may close what is idle
            host, _, port = self.args.to.rpartition(":")
            self.server = await asyncio.open_connection(host, int(port), limit=1 << 20)
        reader, writer = self.server
        writer.write(head.raw)
        sending = asyncio.create_task(passed_on(body_pieces(self.reader, head), writer))
        try:
            answer = await self.answer_head(reader, lost=kind == "lost_answer")
            over = answer.closes or not await self.answer(reader, answer, method, kind)
            if not sending.done() and answer.first[1].startswith(("4", "5")):
                over = True  # answered before the body was read: what remains of it is not a request
            else:
                await sending
        finally:
            sending.cancel()
        return not (over or head.closes)

    async def answer_head(self, reader, lost):
        """The final head; `100 Continue` is passed on, or the client would never send its body."""
        while True:
            answer = await read_head(reader)
            if answer is None:
                raise ConnectionError("the server closed the connection")
            if not answer.first[1].startswith("1"):
                return answer
            self.writer.write(answer.raw)
            await self.writer.drain()

    async def answer(self, reader, answer, method, kind):
        """Passes an answer on, or not; False when the connection is over."""
        none = method == "HEAD" or int(answer.first[1]) in BODILESS
        pieces = no_pieces() if none else body_pieces(reader, answer, unframed=True)
        if kind == "lost_answer":
            async for _ in pieces:
                pass
            reset(self.writer)
            return False
        self.writer.write(answer.raw)
        if kind == "cut":
            await passed_on(pieces, self.writer, most=answer.length // 2)
            await asyncio.sleep(0.02)  # a reset overtakes what is still in the socket
            reset(self.writer)
            return False
        await passed_on(pieces, self.writer)
        await self.writer.drain()
        return none or answer.chunked or "content-length" in answer.headers


async def no_pieces():
    """A body that is none."""
    return
    yield


def arguments(words=None):
    args = argparse.ArgumentParser(description="A proxy that hurts HTTP requests on purpose.")
    args.add_argument("--to", required=True, help="HOST:PORT of the server")
    args.add_argument("--listen", default="127.0.0.1:0")
    args.add_argument("--seed", type=int, default=1)
    for kind in KINDS:
        args.add_argument("--" + kind.replace("_", "-"), type=float, default=0.0, metavar="RATE")
    args.add_argument("--delay-ms", type=float, default=200.0)
    args.add_argument("--in-a-row", type=int, default=3)
    args.add_argument("--methods", help="only these, with commas")
    args.add_argument("--path", default="", help="only targets with this text in them")
    args = args.parse_args(words)
    if sum(getattr(args, kind) for kind in KINDS) > 1:
        sys.exit("the rates together are more than 1")
    return args


async def listening(args, plan):
    """The proxy, ready."""
    host, _, port = args.listen.rpartition(":")

    async def attend(reader, writer):
        await Connection(plan, args, reader, writer).run()

    return await asyncio.start_server(attend, host, int(port), limit=1 << 20)


async def main():
    args = arguments()
    server = await listening(args, Plan(args))
    host, port = server.sockets[0].getsockname()[:2]
    print(json.dumps({"listen": f"{host}:{port}"}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
