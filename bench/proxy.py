"""What the load balancer adds: the same calls made directly and through it, in the same run, in turns.

`python bench/proxy.py [--seconds 3]` prints a table; nothing is asserted. Latency is one client's, one call after the
other; streams are 200 at once, 20 events each, 50 ms apart.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
import sys
import time
from pathlib import Path

import aiohttp
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from emulator.data import proxy as p

STREAMS, EVENTS, PAUSE = 200, 20, 0.05


def serve(listening: socket.socket) -> None:
    """The target: a small page, and a stream whose events carry the time they were sent at."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="x" * 500)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(EVENTS):
            await response.write(f"data: {time.time()}\n\n".encode())
            await asyncio.sleep(PAUSE)
        return response

    app = web.Application()
    app.add_routes([web.get("/page", page), web.post("/echo", echo), web.get("/stream", stream)])
    web.run_app(app, sock=listening, print=None, access_log=None)


def start_proxy(address: str) -> tuple[p.Proxy, int]:
    """A proxy with one target, once it takes requests."""
    proxy = p.Proxy()
    proxy.start()
    forward = {"Priority": "default", "Actions": [{"Type": "forward", "TargetGroupArn": "tg"}]}
    check = p.HealthCheck(path="/page", interval=5)
    group = p.TargetGroup("tg", stickiness=p.Stickiness(True), health_check=check, targets=(p.Target("1", 1, address),))
    proxy.configure(p.Configuration(1, (p.Listener("l", "lb", 0, (forward,)),), (group,)))
    port = next(event.port for event in proxy.events() if isinstance(event, p.Bound))
    next(event for event in proxy.events() if isinstance(event, p.HealthChanged) and event.state == "healthy")
    return proxy, port


async def one_by_one(session: aiohttp.ClientSession, url: str, method: str, seconds: float) -> list[float]:
    """Milliseconds of each call."""
    times, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        async with session.request(method, url, data=b"y" * 1000 if method == "POST" else None) as response:
            await response.read()
            assert response.status == 200
        times.append((time.perf_counter() - began) * 1000)
    return times


async def at_once(session: aiohttp.ClientSession, url: str, seconds: float, clients: int = 20) -> float:
    """Calls per second of that many clients."""
    counts = await asyncio.gather(*(one_by_one(session, url, "GET", seconds) for _ in range(clients)))
    return sum(map(len, counts)) / seconds


async def stream_delays(session: aiohttp.ClientSession, url: str) -> tuple[list[float], int]:
    """How long each event was under way, in milliseconds; and how many streams were not whole."""
    delays: list[float] = []

    async def one() -> bool:
        count = 0
        async with session.get(url) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    delays.append((time.time() - float(line[6:])) * 1000)
                    count += 1
        return count == EVENTS

    whole = await asyncio.gather(*(one() for _ in range(STREAMS)))
    return delays, whole.count(False)


def show(name: str, direct: float, through: float, unit: str) -> None:
    print(f"{name:<34}{direct:>10.2f}{through:>10.2f} {unit:<6}{through - direct:>+9.2f}{through / direct:>8.2f}x")


async def measure(direct: str, through: str, seconds: float) -> None:
    """Print the table."""
    print(f"{'':<34}{'direct':>10}{'through':>10} {'':<6}{'added':>9}{'ratio':>9}")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for method, path in (("GET", "/page"), ("POST", "/echo")):
            times: dict[str, list[float]] = {direct: [], through: []}
            for _ in range(4):  # in turns, so that a busy machine is busy for both
                for url in times:
                    times[url] += await one_by_one(session, url + path, method, seconds / 4)
            for name, at in (("p50", 0.5), ("p99", 0.99)):
                quantiles = [statistics.quantiles(times[url], n=1000)[int(at * 1000) - 1] for url in (direct, through)]
                show(f"{method} {path}, {name}", *quantiles, "ms")
        show("20 clients at once", *[await at_once(session, url + "/page", seconds) for url in (direct, through)], "/s")
        results = [await stream_delays(session, url + "/stream") for url in (direct, through)]
        for name, at in (("p50", 0.5), ("p95", 0.95)):
            quantiles = [statistics.quantiles(delays, n=100)[int(at * 100) - 1] for delays, _ in results]
            show(f"{STREAMS} streams, an event's delay, {name}", *quantiles, "ms")
        print(f"streams that were not whole: {results[0][1]} direct, {results[1][1]} through")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    seconds = parser.parse_args().seconds
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    target = multiprocessing.get_context("fork").Process(target=serve, args=(listening,), daemon=True)
    target.start()
    proxy, port = start_proxy(address)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    try:
        asyncio.run(measure(f"http://{address}", f"http://127.0.0.1:{port}", seconds))
    finally:
        proxy.close()
        target.terminate()


if __name__ == "__main__":
    main()
