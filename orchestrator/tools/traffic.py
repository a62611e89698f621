"""Which colour has how much of the traffic, and how its targets are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.tools.aws import Aws

Answer = Mapping[str, Any]


def listeners(network: Answer) -> dict[str, str]:
    """The ARNs of both listeners, by what they are for."""
    return {kind: network[f"{kind}_listener_arn"] for kind in ("production", "test")}


def colours(aws: Aws, network: Answer) -> dict[str, Any]:
    """Per colour: its share of production and of test traffic in percent, and its targets' health."""
    elb = aws.client("elbv2")
    shares = {
        kind: weights(elb.describe_listeners(ListenerArns=[arn])["Listeners"][0])
        for kind, arn in listeners(network).items()
    }
    return {
        colour: {
            **{kind: share(listener, group["arn"]) for kind, listener in shares.items()},
            "targets": states(elb.describe_target_health(TargetGroupArn=group["arn"])["TargetHealthDescriptions"]),
        }
        for colour, group in network["target_groups"].items()
    }


def weights(listener: Answer | None) -> dict[str, int]:
    """Target group to weight of what a listener does by default; empty when it forwards nowhere."""
    found: dict[str, int] = {}
    for action in (listener or {}).get("DefaultActions", []):
        groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
        if not groups and action.get("TargetGroupArn"):
            groups = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
        found |= {group["TargetGroupArn"]: group.get("Weight", 1) for group in groups}
    return found


def live(listener: Answer | None) -> set[str]:
    """The target groups that get any of a listener's traffic."""
    return {group for group, weight in weights(listener).items() if weight > 0}


def share(weights: Mapping[str, int], group: str) -> int:
    """In percent."""
    return round(100 * weights.get(group, 0) / (sum(weights.values()) or 1))


def states(targets: Iterable[Answer]) -> dict[str, int]:
    """How many targets are in each state."""
    found: dict[str, int] = {}
    for target in targets:
        state = target["TargetHealth"]["State"]
        found[state] = found.get(state, 0) + 1
    return found
