"""The chatbot measured beside a plain gr.ChatInterface over the same model's server, in the same run.

    python -m bench.chat [start] [latency] [memory] [crowd] [--quick] [--json]

First-token latency against calling the model directly, through the app and through load balancer and app; 100 and 200
answers at once; cold start at fractions of a CPU (a cgroup quota, where one can be set); memory. Nothing is asserted:
seconds differ between machines, so compare the two columns. The model's server sends 40 tokens, 25 ms apart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.chat_load import at_once, direct, request, serve_model, through, until
from emulator.data import proxy as p

ROOT = Path(__file__).parents[1]
PLAIN = """
import os, gradio as gr
from huggingface_hub import AsyncInferenceClient
client = AsyncInferenceClient(base_url=os.environ["MODEL"], api_key="none", timeout=60)
async def chat(message, history):
    messages = [{"role": "user", "content": message}]
    text = ""
    async for chunk in await client.chat_completion(messages, model="m", stream=True):
        text += chunk.choices[0].delta.content or ""
        yield text
gr.ChatInterface(chat).launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]), quiet=True)
"""


# --- the two apps


@dataclass
class Running:
    """An app that answers, and how long it took to."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float

    @property
    def processor(self) -> float:
        """Seconds of processor time so far: hardly longer on a busy machine, and what a fraction of a CPU divides."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    @property
    def rss(self) -> float:
        """Resident MiB of the process, its shared libraries included."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def command(name: str, model: int, port: int) -> tuple[list[str], dict[str, str]]:
    """How an app is started, and its environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CHATBOT_", "HF_"))}
    url = f"http://127.0.0.1:{model}/v1"
    environment |= {"PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    if name == "plain":
        return [sys.executable, "-c", PLAIN], environment | {"MODEL": url}
    ours = {"HOST": "127.0.0.1", "CHATBOT_RATE_PER_MINUTE": "0", "CHATBOT_METRICS_PORT": "0"}
    model_of = {"CHATBOT_BASE_URL": url} if name == "chatbot" else {"CHATBOT_BACKEND": "embedded"}
    return [sys.executable, "-m", "chatbot"], environment | ours | model_of


@contextlib.contextmanager
def running(name: str, model: int, quota: float | None = None) -> Iterator[Running]:
    """An app on a free port, within a fraction of a CPU when one is given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments, environment = command(name, model, port)
    with cpu(quota) as join:
        began = time.perf_counter()
        process = subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=join
        )
        try:
            asyncio.run(_answers(port))
            yield Running(process, port, time.perf_counter() - began)
        finally:
            process.kill()
            process.wait()


async def _answers(port: int) -> None:
    """Return when the page is served."""
    for _ in range(2400):
        with contextlib.suppress(OSError, RuntimeError):
            reader, writer = await request(port, "GET", "/")
            await until(reader, b"gradio_config")
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("the app never answered")


@contextlib.contextmanager
def cpu(quota: float | None) -> Iterator[Callable[[], None] | None]:
    """A cgroup with this many CPUs; yields what the child calls to join it. Raises OSError where none can be made."""
    if quota is None:
        yield None
        return
    second = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    group = Path("/sys/fs/cgroup" if second else "/sys/fs/cgroup/cpu") / f"bench-chat-{os.getpid()}"
    group.mkdir()
    try:
        if second:
            (group / "cpu.max").write_text(f"{int(quota * 100_000)} 100000")
        else:
            (group / "cpu.cfs_quota_us").write_text(str(int(quota * 100_000)))

        def join() -> None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

        yield join
    finally:
        for _ in range(100):  # the kernel lets go of a killed process a moment later
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


@contextlib.contextmanager
def balanced(port: int) -> Iterator[int]:
    """The emulator's load balancer before an app; yields its port."""
    proxy = p.Proxy()
    proxy.start()
    try:
        forward = {"Priority": "default", "Actions": [{"Type": "forward", "TargetGroupArn": "tg"}]}
        check = p.HealthCheck(path="/", interval=5)
        target = p.Target("1", 1, f"127.0.0.1:{port}")
        group = p.TargetGroup("tg", stickiness=p.Stickiness(True), health_check=check, targets=(target,))
        proxy.configure(p.Configuration(1, (p.Listener("l", "lb", 0, (forward,)),), (group,)))
        bound = next(event.port for event in proxy.events() if isinstance(event, p.Bound))
        next(event for event in proxy.events() if isinstance(event, p.HealthChanged) and event.state == "healthy")
        yield bound
    finally:
        proxy.close()


Figures = dict[str, dict[str, float]]
APPS = ("chatbot", "plain")


def cold_starts(model: int, found: Figures, quotas: tuple[float | None, ...]) -> None:
    """The best of three starts each, in turns, so that a busy moment of the machine does not meet one app alone."""
    for quota in quotas:
        best: dict[str, float] = {}
        for name in APPS * 3:
            try:
                with running(name, model, quota) as app:
                    best[name] = min(best.get(name, app.seconds), app.seconds)
                    row = "processor time of a start, s"
                    found[name][row] = min(found[name].get(row, app.processor), app.processor)
            except OSError as error:
                print(f"no cgroup for {quota} vCPU: {error}", file=sys.stderr)
                break
        for name, seconds in best.items():
            found[name]["cold start, s" if quota is None else f"cold start at {quota} vCPU, s"] = seconds


def latencies(model: int, found: Figures, calls: int) -> None:
    """What is added to the first token: model, apps and load balancers asked in turns."""
    with contextlib.ExitStack() as stack:
        apps = {name: stack.enter_context(running(name, model)) for name in APPS}
        ports = {name: (app.port, stack.enter_context(balanced(app.port))) for name, app in apps.items()}

        async def turns() -> dict[tuple[str, int], list[float]]:
            times: dict[tuple[str, int], list[float]] = {}
            for _ in range(calls + 3):
                times.setdefault(("", model), []).append(await direct(model))
                for name, both in ports.items():
                    for port in both:
                        times.setdefault((name, port), []).append(await through(name, port, whole=True))
            return times

        times = asyncio.run(turns())
        medians = {key: statistics.median(values[3:]) * 1000 for key, values in times.items()}  # the first ones warm up
        for name, (alone, balancer) in ports.items():
            found[name]["model alone, first token p50, ms"] = medians["", model]
            found[name]["added by the app, p50, ms"] = medians[name, alone] - medians["", model]
            found[name]["added by load balancer and app, p50, ms"] = medians[name, balancer] - medians["", model]


def crowds(model: int, found: Figures, counts: tuple[int, ...]) -> None:
    """As many answers at once, from one app after the other."""
    for name in APPS:
        for count in counts:
            with running(name, model) as app:
                asyncio.run(through(name, app.port, whole=True))
                for key, value in asyncio.run(at_once(name, app.port, count)).items():
                    found[name][f"{count} at once, {key}"] = value
                found[name][f"memory after {count} at once, MiB"] = app.rss


def memories(model: int, found: Figures) -> None:
    """What an app holds when nobody asks anything."""
    for name in (*APPS, "embedded"):
        with running(name, model) as app:
            time.sleep(3)  # the model is loaded after the page is there
            ours = found["chatbot"] if name == "embedded" else found[name]
            ours["memory when idle" + (" with the embedded model" if name == "embedded" else "") + ", MiB"] = app.rss


PARTS: dict[str, Callable[[int, Figures, bool], None]] = {
    "start": lambda model, found, quick: cold_starts(model, found, (None,) if quick else (None, 1.0, 0.5, 0.25)),
    "latency": lambda model, found, quick: latencies(model, found, 10 if quick else 30),
    "memory": lambda model, found, _: memories(model, found),
    "crowd": lambda model, found, quick: crowds(model, found, (20,) if quick else (100, 200)),
}


def main() -> None:
    """Measure both, print the table, keep the figures in bench/results/chat.json, with those of parts left out now."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="fewer calls, 20 at once, no quotas")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    model = multiprocessing.get_context("fork").Process(target=serve_model, args=(listening,), daemon=True)
    model.start()
    found: Figures = {name: {} for name in APPS}
    for part in arguments.parts or PARTS:
        PARTS[part](int(listening.getsockname()[1]), found, arguments.quick)
        keep(found)
    model.terminate()
    print(json.dumps(found, indent=2) if arguments.json else table(found))


def keep(found: Figures) -> None:
    """Write the figures beside those of earlier runs of other parts."""
    file = ROOT / "bench/results/chat.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    before: Figures = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({name: before.get(name, {}) | found[name] for name in found}, indent=2) + "\n")


def table(columns: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    lines = ["| | chatbot | plain ChatInterface | ratio |", "|---|---|---|---|"]
    for row, ours in columns["chatbot"].items():
        theirs = columns["plain"].get(row)
        ratio = f"{ours / theirs:.2f}" if theirs and ours else ""
        lines.append(f"| {row} | {ours:.2f} | {'' if theirs is None else f'{theirs:.2f}'} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
