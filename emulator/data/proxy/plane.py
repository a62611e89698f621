"""The data plane: listeners and target groups, brought to what the latest configuration says, and their metrics."""

from __future__ import annotations

import time

from .health import Checks, parse_matcher
from .listening import OpenListener
from .messages import BadMessage, Configuration, Configured, Metrics
from .metrics import Meter
from .routing import Rules
from .targets import Emit, LiveGroup

_KEEP_IDLE = 60.0  # seconds that an unused connection to a target stays open


class Plane:
    """Everything that the process does, apart from its pipes."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._meter = Meter()
        self._listeners: dict[str, OpenListener] = {}
        self._closing: list[OpenListener] = []  # closed, but some connections are not done
        self._groups: dict[str, LiveGroup] = {}
        self._leaving: list[LiveGroup] = []  # not configured any more, but some targets are not drained
        self._checks = Checks()

    def apply(self, wanted: Configuration) -> None:
        """Make it so; raises BadMessage, having changed nothing, when it makes no sense."""
        rules = {each.arn: Rules(each.rules) for each in wanted.listeners}
        self._verify(wanted, rules)
        self._apply_groups(wanted, rules)
        self._apply_listeners(wanted, rules)
        self._emit(Configured(wanted.generation))
        self._bind()
        for group in self._groups.values():
            self._checks.apply(group)
        self._checks.stop_the_unneeded()

    def _verify(self, wanted: Configuration, rules: dict[str, Rules]) -> None:
        known = {each.arn for each in wanted.target_groups}
        for arn, each in rules.items():
            if missing := each.groups() - known:
                raise BadMessage(f"listener {arn} forwards to {', '.join(sorted(missing))}, which is not configured")
        for group in wanted.target_groups:
            parse_matcher(group.health_check.matcher)
            for target in group.targets:
                if not target.address.rpartition(":")[2].isdigit():
                    raise BadMessage(f"target {target.id} has the address '{target.address}', not host:port")

    def _apply_groups(self, wanted: Configuration, rules: dict[str, Rules]) -> None:
        for config in wanted.target_groups:
            if config.arn not in self._groups:
                self._groups[config.arn] = LiveGroup(config, self._emit)
        used = {arn: each.load_balancer_arn for each in wanted.listeners for arn in rules[each.arn].groups()}
        configs = {each.arn: each for each in wanted.target_groups}
        for arn, group in list(self._groups.items()):
            group.load_balancer = used.get(arn)
            if arn in configs:
                group.apply(configs[arn])
            else:
                self._leaving.append(self._groups.pop(arn))
                group.leave()

    def _apply_listeners(self, wanted: Configuration, rules: dict[str, Rules]) -> None:
        configs = {each.arn: each for each in wanted.listeners}
        for arn, listener in list(self._listeners.items()):
            config = configs.get(arn)
            if config is None or (config.host, config.port) != (listener.config.host, listener.config.port):
                listener.close()
                self._closing.append(self._listeners.pop(arn))
        for arn, config in configs.items():
            if arn not in self._listeners:
                self._listeners[arn] = OpenListener(config, self._groups, self._meter, self._emit)
            self._listeners[arn].apply(config, rules[arn])

    def _bind(self) -> None:
        for listener in self._listeners.values():
            listener.try_to_bind()

    def tick(self) -> None:
        """Once a second: retry ports, drop stale connections, say what was counted."""
        self._bind()
        self._closing = [each for each in self._closing if each.connections]
        self._leaving = [each for each in self._leaving if each.targets]
        for group in self._groups.values():
            for target in group.targets.values():
                target.close_idle(_KEEP_IDLE)
        self._count_connections()
        self._count_hosts()
        if metrics := self._meter.take():
            self._emit(Metrics(time.time(), metrics))

    def _count_connections(self) -> None:
        active: dict[str, int] = {}
        for listener in [*self._listeners.values(), *self._closing]:
            if listener.connections:
                to_targets = sum(each.exchange is not None for each in listener.connections)
                arn = listener.load_balancer
                active[arn] = active.get(arn, 0) + len(listener.connections) + to_targets
        for arn, number in active.items():
            self._meter.add("ActiveConnectionCount", arn, None, number)

    def _count_hosts(self) -> None:
        for arn, group in self._groups.items():
            if group.load_balancer is None:
                continue
            healthy = len(group.healthy())
            unhealthy = sum(each.state == "unhealthy" for each in group.targets.values())
            self._meter.add("HealthyHostCount", group.load_balancer, arn, healthy)
            self._meter.add("UnHealthyHostCount", group.load_balancer, arn, unhealthy)
            if group.requests:
                each_target = group.requests / max(1, healthy or len(group.registered()))
                self._meter.add("RequestCountPerTarget", None, arn, each_target)
                self._meter.add("RequestCountPerTarget", group.load_balancer, arn, each_target)
                group.requests = 0
