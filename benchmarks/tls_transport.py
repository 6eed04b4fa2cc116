"""Measures the TLS transport between two processes on loopback.

Run by `python -m benchmarks.tls_transport`. Prints calls per second and CPU per call with many
under way, the latency of one at a time (also behind blocks), and the throughput of blocks.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
import time
from multiprocessing.connection import Connection

import uvloop

from epost.daemon.tls import TransportConfig
from epost.foundation.ids import Address, NodeHandle
from tests.support.tls import Machine, Office, Ring

SECONDS = 2.0
UNDER_WAY = 64
BODY = bytes(256)
BLOCK = bytes(64 * 1024 - 200)
LARGE = bytes(4 * 1024 * 1024)
ACKNOWLEDGEMENT = b"\x02" * 16


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def serve(pipe: Connection) -> None:
    """Echo small messages; acknowledge blocks."""

    async def story() -> None:
        bert = Office(Ring(), TransportConfig()).start(2)

        def answer(sender: NodeHandle, message: bytes) -> None:
            if message == b"cpu?":
                message = repr(cpu_seconds()).encode()
            elif len(message) > 1000:
                message = ACKNOWLEDGEMENT
            bert.transport.send(sender, message)

        bert.events.react = answer
        pipe.send(bert.address.port)
        await asyncio.Event().wait()

    uvloop.run(story())


class Client:
    def __init__(self, anna: Machine, bert: NodeHandle) -> None:
        self._anna = anna
        self._bert = bert
        self._loop = asyncio.get_running_loop()

    async def one(self, message: bytes) -> bytes:
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._anna.events.react = lambda _, answer: future.done() or future.set_result(answer)
        self._anna.transport.send(self._bert, message)
        return await future

    async def many(self, message: bytes, under_way: int) -> tuple[float, float]:
        """Keep so many calls under way; return calls per second and our CPU per call."""
        count, end = 0, time.perf_counter() + SECONDS
        done: asyncio.Future[None] = self._loop.create_future()
        left = under_way

        def again(_: NodeHandle, __: bytes) -> None:
            nonlocal count, left
            count += 1
            if time.perf_counter() < end:
                self._anna.transport.send(self._bert, message)
                return
            left -= 1
            if not left:
                done.set_result(None)

        self._anna.events.react = again
        start, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(under_way):
            self._anna.transport.send(self._bert, message)
        await done
        return count / (time.perf_counter() - start), (cpu_seconds() - cpu) / count

    async def latencies(self, background: bytes = b"") -> list[float]:
        """Return the round trips of single calls, in seconds, maybe behind a stream of blocks."""
        times: list[float] = []
        answered = asyncio.Event()

        def react(_: NodeHandle, answer: bytes) -> None:
            if answer == ACKNOWLEDGEMENT:
                self._anna.transport.send(self._bert, background)
            else:
                answered.set()

        self._anna.events.react = react
        if background:
            self._anna.transport.send(self._bert, background)
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            answered.clear()
            self._anna.transport.send(self._bert, BODY)
            await answered.wait()
            times.append(time.perf_counter() - start)
        return sorted(times)


def show(what: str, times: list[float]) -> None:
    p99 = times[int(len(times) * 0.99)]
    print(f"{what}: p50 {statistics.median(times) * 1e6:.0f} us, p99 {p99 * 1e6:.0f} us")


async def measure(port: int) -> None:
    ring = Ring()
    office = Office(ring, TransportConfig())
    anna = office.start(1)
    bert = ring.identity(2, Address("127.0.0.1", port)).node
    client = Client(anna, bert)
    start = time.perf_counter()
    await client.one(BODY)
    print(f"first message, link included: {(time.perf_counter() - start) * 1e3:.1f} ms")
    theirs = float(await client.one(b"cpu?"))
    rate, ours = await client.many(BODY, UNDER_WAY)
    theirs = float(await client.one(b"cpu?")) - theirs
    per_call = theirs / (rate * SECONDS)
    print(
        f"calls, {UNDER_WAY} under way: {rate:,.0f}/s, CPU {ours * 1e6:.1f} us here, "
        f"{per_call * 1e6:.1f} us there"
    )
    show("single calls", await client.latencies())
    rate, _ = await client.many(BLOCK, 8)
    print(f"blocks of 64 KB, 8 under way: {rate:,.0f}/s, {rate * len(BLOCK) / 1e6:.0f} MB/s")
    rate, cpu = await client.many(LARGE, 1)
    print(f"blocks of 4 MiB: {rate * len(LARGE) / 1e6:.0f} MB/s, CPU {cpu * 1e3:.1f} ms each")
    await asyncio.sleep(0.2)
    show("single calls behind 4 MiB blocks", await client.latencies(LARGE))
    anna.events.react = lambda _, __: None
    await office.close()


def main() -> None:
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        uvloop.run(measure(mine.recv()))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
