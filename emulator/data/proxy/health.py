"""Health checks: one task per target that asks, counts, and reports what DescribeTargetHealth would say.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

import h11

from .hop import Hop
from .messages import BadMessage, HealthCheck
from .targets import LiveGroup, LiveTarget
from .wire import connect


@dataclass(frozen=True)
class Outcome:
    """What a check found; no reason: it passed."""

    reason: str = ""
    description: str = ""


PASSED = Outcome()


def parse_matcher(matcher: str) -> list[range]:
    """ "200-299,301" as ranges of status codes; raises BadMessage."""
    try:
        bounds = [[int(each) for each in part.split("-")] for part in matcher.split(",")]
        return [range(each[0], each[-1] + 1) for each in bounds]
    except ValueError:
        raise BadMessage(f"'{matcher}' is no list of status codes such as 200-299,301") from None


class Checks:
    """The check tasks of all targets that are in use."""

    def __init__(self) -> None:
        self._tasks: dict[LiveTarget, tuple[asyncio.Task[None], HealthCheck]] = {}

    def apply(self, group: LiveGroup) -> None:
        """Start and stop checks as the group's configuration and use demand."""
        for target in list(group.targets.values()):
            if target.draining:
                continue
            if group.load_balancer is None:
                target.report(
                    "unused",
                    "Target.NotInUse",
                    "Target group is not configured to receive traffic from the load balancer",
                )
            elif not group.config.health_check.enabled:
                target.report(
                    "unavailable", "Target.HealthCheckDisabled", "Health checks are disabled for this target group"
                )
            else:
                self._check(target, group.config.health_check)

    def stop_the_unneeded(self) -> None:
        """End the checks of targets that left or are out of use."""
        for target, (task, _) in list(self._tasks.items()):
            if target.draining or target.group.load_balancer is None or not target.group.config.health_check.enabled:
                task.cancel()
                del self._tasks[target]

    def _check(self, target: LiveTarget, check: HealthCheck) -> None:
        if target.state in ("", "unused", "unavailable"):
            target.report("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
        elif target in self._tasks and self._tasks[target][1] == check:
            return
        if target in self._tasks:
            self._tasks[target][0].cancel()
        self._tasks[target] = (asyncio.create_task(_keep_checking(target, check)), check)


async def _keep_checking(target: LiveTarget, check: HealthCheck) -> None:
    loop = asyncio.get_running_loop()
    passed = failed = 0
    while not target.draining:
        began = loop.time()
        outcome = await probe(target, check)
        if target.draining:
            return
        passed, failed = (passed + 1, 0) if outcome == PASSED else (0, failed + 1)
        # A new target needs one pass, whatever the healthy threshold.
        if outcome == PASSED and (target.state == "initial" or passed >= check.healthy_threshold):
            target.report("healthy")
        elif failed >= check.unhealthy_threshold or (failed and target.state == "unhealthy"):
            target.report("unhealthy", outcome.reason, outcome.description)
        await asyncio.sleep(max(0.0, began + check.interval - loop.time()))


async def probe(target: LiveTarget, check: HealthCheck) -> Outcome:
    """One health check of a target."""
    try:
        async with asyncio.timeout(check.timeout):
            status = await _status(target, check)
    except TimeoutError:
        return Outcome("Target.Timeout", "Request timed out")
    except (OSError, h11.RemoteProtocolError, EOFError):
        return Outcome("Target.FailedHealthChecks", "Health checks failed")
    if any(status in each for each in parse_matcher(check.matcher)):
        return PASSED
    return Outcome("Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")


async def _status(target: LiveTarget, check: HealthCheck) -> int:
    host, port = target.address
    if check.port not in ("traffic-port", str(target.config.port)):
        port = int(check.port)
    tls: ssl.SSLContext | None = None
    if check.protocol == "HTTPS":
        tls = ssl._create_unverified_context()
    wire = await connect(host, port, tls, check.timeout)
    try:
        hop = Hop(wire, h11.CLIENT)
        headers = [
            (b"Host", f"{target.config.id}:{target.config.port}".encode()),
            (b"Connection", b"close"),
            (b"User-Agent", b"ELB-HealthChecker/2.0"),
            (b"Accept-Encoding", b"gzip, compressed"),
        ]
        hop.put(h11.Request(method="GET", target=check.path, headers=headers))
        hop.put(h11.EndOfMessage())
        await hop.flush()
        while not isinstance(event := await hop.next(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise EOFError("no response")
        return event.status_code
    finally:
        wire.abort()
