"""Load balancing: the proxy follows the API, and what the proxy sees goes to target health and metrics."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import shutil
import threading
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from emulator.data.proxy import (
    BindFailed,
    Bound,
    Configuration,
    Drained,
    Event,
    HealthChanged,
    HealthCheck,
    Listener,
    Metrics,
    Proxy,
    Refused,
    Stickiness,
    Target,
    TargetGroup,
)
from emulator.loops.runner import Loop
from emulator.state import moto
from emulator.state.store import Store
from emulator.state.targets import Health, Targets

log = logging.getLogger("emulator.elb")


class DataPlane:
    """Keeps a proxy running and told; a killed one is replaced and told again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.proxy = Proxy()
        self._told: Configuration | None = None
        self._generation = 0
        store.on_close(self._close)

    def _close(self) -> None:
        self.proxy.close()
        shutil.rmtree(self._store.folder / "certificates", ignore_errors=True)

    def step(self) -> None:
        try:
            wanted = desired(self._store)
        except ClientError as error:
            if not error.response["Error"]["Code"].endswith("NotFound"):
                raise
            self._store.changed()  # something was deleted while we asked: ask again
            return
        if self.proxy.pid is None:
            if not wanted.listeners and not wanted.target_groups:
                return  # nobody has a load balancer yet: no process for nothing
            self._start()
        if self._told is None or dataclasses.replace(self._told, generation=0) != wanted:
            self._generation += 1
            self._told = dataclasses.replace(wanted, generation=self._generation)
            self.proxy.configure(self._told)

    def _start(self) -> None:
        if self._told is not None:
            log.warning("the proxy was killed; starting another with the same configuration")
        self._told = None
        with self._store.change():
            table = self._store.table(Targets)
            table.listeners.clear()
            table.health.clear()
        self.proxy.start()
        threading.Thread(target=self._listen, args=(self.proxy.events(),), name="proxy events", daemon=True).start()

    def _listen(self, events: Iterator[Event]) -> None:
        for event in events:
            try:
                self._take(event)
            except Exception:
                log.exception("event %s", event)
        with self._store.change():  # it has ended: the next step starts another
            table = self._store.table(Targets)
            # What drained drained through connections that are gone.
            table.draining.clear()

    def _take(self, event: Event) -> None:
        if isinstance(event, Metrics):
            _publish(self._store, event)
            return
        with self._store.change():
            table = self._store.table(Targets)
            match event:
                case HealthChanged(group, identity, port, state, reason, description):
                    table.health[group, identity, port] = Health(state, reason, description)
                case Drained(group, identity, port):
                    table.draining.discard((group, identity, port))
                case Bound(arn, host, port):
                    log.info("listening on %s:%d (%s)", host, port, arn)
                    table.listeners[arn] = port
                case BindFailed(arn, host, port, reason):
                    log.error("cannot listen on %s:%d, still trying: %s", host, port, reason)
                    table.listeners.pop(arn, None)
                case Refused(_, reason):
                    log.error("the proxy refused its configuration: %s", reason)


def desired(store: Store) -> Configuration:
    """What the API says, as the proxy needs it. Generation 0: numbered when it is sent."""
    listeners: list[Listener] = []
    groups: list[TargetGroup] = []
    for region in moto.regions("elbv2"):
        client = store.clients("elbv2", region)
        for balancer in client.describe_load_balancers()["LoadBalancers"]:
            if balancer["Type"] == "application":
                rules = _ingress(store, region, balancer.get("SecurityGroups") or [])
                listeners += [
                    listener
                    for listener in _listeners(store, client, balancer["LoadBalancerArn"])
                    if rules is None or any(_lets_in(rule, listener.port) for rule in rules)
                ]
        groups += [_group(store, client, each) for each in client.describe_target_groups()["TargetGroups"]]
    known = {listener.arn for listener in listeners}
    with store.lock:
        table = store.table(Targets)
        table.listeners = {arn: port for arn, port in table.listeners.items() if arn in known}
    return Configuration(0, tuple(listeners), tuple(groups))


def _ingress(store: Store, region: str, groups: list[str]) -> list[dict[str, Any]] | None:
    """Who may come in by the security groups of a load balancer; None where it was given none of its own."""
    if not groups:
        return None
    found = store.clients("ec2", region).describe_security_groups(GroupIds=groups)["SecurityGroups"]
    return [rule for group in found for rule in group["IpPermissions"]]


def _lets_in(rule: dict[str, Any], port: int) -> bool:
    """Whether a rule opens the port to any address: where each visitor is on this machine, one stands for all."""
    addresses = rule.get("IpRanges") or rule.get("Ipv6Ranges") or rule.get("PrefixListIds")
    protocol, first, last = rule["IpProtocol"], rule.get("FromPort", 0), rule.get("ToPort", 65535)
    return bool(addresses) and (protocol == "-1" or (protocol in ("tcp", "6") and first <= port <= last))


def _listeners(store: Store, client: Any, balancer: str) -> list[Listener]:
    attributes = _attributes(client.describe_load_balancer_attributes(LoadBalancerArn=balancer))
    return [
        Listener(
            arn=each["ListenerArn"],
            load_balancer_arn=balancer,
            port=each["Port"],
            rules=tuple(client.describe_rules(ListenerArn=each["ListenerArn"])["Rules"]),
            protocol=each["Protocol"],
            idle_timeout=float(attributes["idle_timeout.timeout_seconds"]),
            **_certificate(store, each),
        )
        for each in client.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    ]


def _certificate(store: Store, listener: dict[str, Any]) -> dict[str, str]:
    """The files of an HTTPS listener's certificate, which the proxy reads; they go with the emulator."""
    arns = [each["CertificateArn"] for each in listener.get("Certificates", [])]
    found = moto.certificate(arns[0].split(":")[3], arns[0]) if arns else None
    if not found:
        return {}
    folder = store.folder / "certificates"
    folder.mkdir(mode=0o700, exist_ok=True)
    files = {kind: folder / f"{hashlib.sha256(pem).hexdigest()}.pem" for kind, pem in _named(found)}
    for kind, pem in _named(found):
        if not files[kind].exists():
            files[kind].touch(mode=0o600)
            files[kind].write_bytes(pem)
    return {kind: str(file) for kind, file in files.items()}


def _named(pair: tuple[bytes, bytes]) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return ("certificate", pair[0]), ("key", pair[1])


def _group(store: Store, client: Any, group: dict[str, Any]) -> TargetGroup:
    arn = group["TargetGroupArn"]
    attributes = _attributes(client.describe_target_group_attributes(TargetGroupArn=arn))
    kind = attributes["stickiness.type"]
    duration = attributes.get(f"stickiness.{kind}.duration_seconds", "86400")
    return TargetGroup(
        arn=arn,
        protocol=group["Protocol"],
        port=group["Port"],
        algorithm=attributes["load_balancing.algorithm.type"],
        stickiness=Stickiness(
            enabled=attributes["stickiness.enabled"] == "true",
            type=kind,
            duration_seconds=float(duration),
            cookie_name=attributes["stickiness.app_cookie.cookie_name"],
        ),
        deregistration_delay=float(attributes["deregistration_delay.timeout_seconds"]),
        slow_start=float(attributes["slow_start.duration_seconds"]),
        health_check=_health_check(group),
        # Nothing is checked in a group that no listener names.
        targets=_targets(store, arn) if group["LoadBalancerArns"] else (),
    )


def _health_check(group: dict[str, Any]) -> HealthCheck:
    return HealthCheck(
        enabled=group.get("HealthCheckEnabled", True),
        protocol=group["HealthCheckProtocol"],
        path=group.get("HealthCheckPath") or "/",
        port=str(group["HealthCheckPort"]),
        interval=float(group["HealthCheckIntervalSeconds"]),
        timeout=float(group["HealthCheckTimeoutSeconds"]),
        healthy_threshold=group["HealthyThresholdCount"],
        unhealthy_threshold=group["UnhealthyThresholdCount"],
        matcher=group.get("Matcher", {}).get("HttpCode", "200"),
    )


def _targets(store: Store, arn: str) -> tuple[Target, ...]:
    with store.lock:
        table = store.table(Targets)
        draining = sorted(target for target in table.draining if target[0] == arn)
        return tuple(
            Target(identity, port, table.address(identity, port), state)
            for targets, state in ((table.registered.get(arn, {}), "registered"), (draining, "draining"))
            for _, identity, port in targets
        )


def _attributes(answer: dict[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in answer["Attributes"]}


def _publish(store: Store, event: Metrics) -> None:
    """To CloudWatch as AWS/ApplicationELB, in the dimensions of the console: LoadBalancer and TargetGroup."""
    by_region: dict[str, list[dict[str, Any]]] = {}
    for metric in event.metrics:
        arn = metric.load_balancer_arn or metric.target_group_arn or ""
        dimensions = [("LoadBalancer", metric.load_balancer_arn), ("TargetGroup", metric.target_group_arn)]
        by_region.setdefault(arn.split(":")[3], []).append(
            {
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": suffix(arn)} for name, arn in dimensions if arn],
                "Timestamp": event.time,
                "Values": list(metric.values),
                "Counts": list(metric.counts),
                "Unit": metric.unit,
            }
        )
    for region, data in by_region.items():
        store.clients("cloudwatch", region).put_metric_data(Namespace="AWS/ApplicationELB", MetricData=data)


def suffix(arn: str) -> str:
    """What CloudWatch calls it: app/<name>/<id> of a load balancer, targetgroup/<name>/<id> of a target group."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


LOOP = Loop("elb", lambda store: store.once(DataPlane).step(), every=5)
