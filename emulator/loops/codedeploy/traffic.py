"""Which target group a listener forwards to: read, weighted, and put back as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from emulator.control.codedeploy.tables import Json


def read(elbv2: Any, listener: str) -> Json:
    """`{rule or listener ARN: its actions}`: the default action first, then the rules."""
    (found,) = elbv2.describe_listeners(ListenerArns=[listener])["Listeners"]
    actions = {listener: found["DefaultActions"]}
    for rule in elbv2.describe_rules(ListenerArn=listener)["Rules"]:
        if not rule["IsDefault"]:
            actions[rule["RuleArn"]] = rule["Actions"]
    return actions


def write(elbv2: Any, listener: str, actions: Json) -> None:
    """The opposite of `read`, for the ARNs that `actions` has."""
    for arn, wanted in actions.items():
        if arn == listener:
            elbv2.modify_listener(ListenerArn=arn, DefaultActions=wanted)
        else:
            elbv2.modify_rule(RuleArn=arn, Actions=wanted)


def forwards_to(actions: Json, groups: set[str]) -> bool:
    """Whether any of the actions that `read` answered names one of `groups` (even with a weight of 0)."""
    return any(_groups(action) & groups for listed in actions.values() for action in listed)


def weighted(actions: Json, weights: dict[str, int]) -> Json:
    """Those of `actions` that forward to one of the groups in `weights`, forwarding by `weights`; all else is kept.

    A listener's own stickiness (TargetGroupStickinessConfig) and its other actions (authentication) stay.
    """
    return {
        arn: [_weighted(action, weights) for action in listed]
        for arn, listed in actions.items()
        if any(_groups(action) & set(weights) for action in listed)
    }


def sticky_seconds(listeners: Iterable[Json]) -> float:
    """How long a client may stay with a group that has lost its weight; 0 where no listener sticks to groups."""
    actions = [action for listener in listeners for listed in listener.values() for action in listed]
    configs = [(action.get("ForwardConfig") or {}).get("TargetGroupStickinessConfig") or {} for action in actions]
    return max((float(each.get("DurationSeconds") or 0) for each in configs if each.get("Enabled")), default=0.0)


def _weighted(action: Json, weights: dict[str, int]) -> Json:
    if not _groups(action) & set(weights):
        return action
    new = copy.deepcopy(action)
    new.pop("TargetGroupArn", None)
    forward = new.setdefault("ForwardConfig", {})
    forward["TargetGroups"] = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    return new


def _groups(action: Json) -> set[str]:
    if action["Type"] != "forward":
        return set()
    listed = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
    found = {each["TargetGroupArn"] for each in listed}
    return found | {action["TargetGroupArn"]} if action.get("TargetGroupArn") else found
