"""What crosses the two pipes: the desired configuration (towards the proxy) and events (from it), as JSON lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


class BadMessage(ValueError):
    """A line that is not a message of this protocol; the text says what is wrong and where."""


# --- towards the proxy ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listener:
    """A port and its rules, which have the shape of DescribeRules (`Priority`, `Conditions`, `Actions`), in any order.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Rule.html
    """

    arn: str
    load_balancer_arn: str
    port: int
    rules: tuple[Mapping[str, Any], ...]
    protocol: str = "HTTP"  # or HTTPS, which needs both files
    host: str = "127.0.0.1"
    certificate: str | None = None
    key: str | None = None
    idle_timeout: float = 60.0  # seconds


@dataclass(frozen=True)
class Stickiness:
    """A target group's stickiness; `cookie_name` belongs to `app_cookie`."""

    enabled: bool = False
    type: str = "lb_cookie"  # or app_cookie
    duration_seconds: float = 86_400
    cookie_name: str = ""


@dataclass(frozen=True)
class HealthCheck:
    """How targets are checked; times in seconds; `port` is "traffic-port" or a number."""

    enabled: bool = True
    protocol: str = "HTTP"
    path: str = "/"
    port: str = "traffic-port"
    interval: float = 30.0
    timeout: float = 5.0
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    matcher: str = "200"


@dataclass(frozen=True)
class Target:
    """A registered target: `id` and `port` as the API has them, `address` ("127.0.0.1:43215") where it really is."""

    id: str
    port: int
    address: str
    state: str = "registered"  # or draining


@dataclass(frozen=True)
class TargetGroup:
    """A target group and its targets; times in seconds."""

    arn: str
    protocol: str = "HTTP"
    port: int = 80
    algorithm: str = "round_robin"  # or least_outstanding_requests, weighted_random
    stickiness: Stickiness = field(default_factory=Stickiness)
    deregistration_delay: float = 300.0
    slow_start: float = 0.0
    health_check: HealthCheck = field(default_factory=HealthCheck)
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Configuration:
    """Everything that the proxy shall do from now on: what is not in it any more is closed or drained."""

    generation: int
    listeners: tuple[Listener, ...] = ()
    target_groups: tuple[TargetGroup, ...] = ()


def configuration_line(configuration: Configuration) -> str:
    """One line for the proxy's standard input."""
    return json.dumps(dataclasses.asdict(configuration), separators=(",", ":")) + "\n"


def parse_configuration(line: str | bytes) -> Configuration:
    """The opposite of configuration_line; raises BadMessage."""
    try:
        raw = json.loads(line)
        return Configuration(
            generation=int(raw["generation"]),
            listeners=tuple(
                _record(Listener, {**each, "rules": tuple(each["rules"]), "port": int(each["port"])})
                for each in raw.get("listeners", ())
            ),
            target_groups=tuple(_target_group(each) for each in raw.get("target_groups", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadMessage(f"not a configuration: {type(error).__name__}: {error}") from error


def _target_group(raw: Mapping[str, Any]) -> TargetGroup:
    nested = {
        "stickiness": _record(Stickiness, raw.get("stickiness") or {}),
        "health_check": _record(HealthCheck, _with_text(raw.get("health_check") or {}, "port", "matcher")),
        "targets": tuple(_record(Target, {**each, "port": int(each["port"])}) for each in raw.get("targets", ())),
    }
    return _record(TargetGroup, {**raw, **nested})


def _with_text(raw: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: str(value) if key in keys else value for key, value in raw.items()}


def _record(kind: type[T], raw: Mapping[str, Any]) -> T:
    unknown = raw.keys() - {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise BadMessage(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    return kind(**raw)


# --- from the proxy ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Configured:
    """A configuration is in force; what it says of ports follows as Bound or BindFailed."""

    generation: int


@dataclass(frozen=True)
class Refused:
    """A configuration was not understood; the one before it stays in force. `generation` is 0 if it had none."""

    generation: int
    reason: str


@dataclass(frozen=True)
class Bound:
    """The listener accepts connections."""

    listener_arn: str
    host: str
    port: int


@dataclass(frozen=True)
class BindFailed:
    """The listener's port (or its certificate) cannot be used now; it is tried again every second."""

    listener_arn: str
    host: str
    port: int
    reason: str


@dataclass(frozen=True)
class HealthChanged:
    """A target's health, in the words of DescribeTargetHealth; `reason` and `description` are empty when healthy.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """

    target_group_arn: str
    id: str
    port: int
    state: str
    reason: str = ""
    description: str = ""


@dataclass(frozen=True)
class Drained:
    """A draining target has no request left (or its delay is over and the rest was cut): it can be stopped."""

    target_group_arn: str
    id: str
    port: int


@dataclass(frozen=True)
class Metric:
    """One of AWS/ApplicationELB's metrics since the last event of its kind: distinct values and how often each came.

    The dimensions are LoadBalancer, TargetGroup or both: an ARN that is None is not a dimension of it. `values` and
    `counts` go into PutMetricData as they are. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
    """

    name: str
    load_balancer_arn: str | None
    target_group_arn: str | None
    values: tuple[float, ...]
    counts: tuple[float, ...]
    unit: str = "Count"

    @property
    def count(self) -> float:
        """CloudWatch's SampleCount."""
        return sum(self.counts)

    @property
    def sum(self) -> float:
        """CloudWatch's Sum."""
        return sum(value * count for value, count in zip(self.values, self.counts, strict=True))


@dataclass(frozen=True)
class Metrics:
    """The counters of one period, which ended at `time` (seconds since the epoch); sent only when there are any."""

    time: float
    metrics: tuple[Metric, ...]


Event = Configured | Refused | Bound | BindFailed | HealthChanged | Drained | Metrics

_EVENTS: dict[str, type[Event]] = {
    "configured": Configured,
    "refused": Refused,
    "bound": Bound,
    "bind_failed": BindFailed,
    "health": HealthChanged,
    "drained": Drained,
    "metrics": Metrics,
}
_NAMES = {kind: name for name, kind in _EVENTS.items()}


def event_line(event: Event) -> str:
    """One line of the proxy's standard output."""
    return json.dumps({"event": _NAMES[type(event)], **dataclasses.asdict(event)}, separators=(",", ":")) + "\n"


def parse_event(line: str | bytes) -> Event:
    """The opposite of event_line; raises BadMessage."""
    try:
        raw = json.loads(line)
        kind = _EVENTS[raw.pop("event")]
        if kind is Metrics:
            raw["metrics"] = tuple(_metric(each) for each in raw["metrics"])
        return _record(kind, raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadMessage(f"not an event: {type(error).__name__}: {error}") from error


def _metric(raw: Mapping[str, Any]) -> Metric:
    return _record(Metric, {**raw, "values": tuple(raw["values"]), "counts": tuple(raw["counts"])})
