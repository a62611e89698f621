"""Elastic Load Balancing: moto keeps load balancers, listeners and rules; targets and their health are ours."""

from __future__ import annotations

from typing import Any

from emulator.control.operation import Operation
from emulator.state import moto, sockets
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store
from emulator.state.targets import Health, Target, Targets

# Where a client on this machine finds the load balancer: listeners are bound on the loopback interface.
_DNS_NAME = "localhost"

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
_LOAD_BALANCER_ATTRIBUTES = {
    "access_logs.s3.bucket": "",
    "access_logs.s3.enabled": "false",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
_TARGET_GROUP_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
_UNKNOWN = Health("unused", "Target.NotRegistered", "Target is not registered to the target group")
_DRAINING = Health("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
_INITIAL = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
_NOT_IN_USE = Health(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)


def create_load_balancer(store: Store, call: Call) -> Answer:
    network = call.parameters.get("Type") in ("network", "gateway")
    subnets = call.parameters.get("Subnets") or [each["SubnetId"] for each in call.parameters.get("SubnetMappings", [])]
    if not network and len(subnets) < 2:
        raise AwsError("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    return _named(call.moto())


def describe_load_balancers(store: Store, call: Call) -> Answer:
    return _named(call.moto())


def delete_load_balancer(store: Store, call: Call) -> Answer:
    client = store.clients("elbv2", call.region)
    arn = call.parameters["LoadBalancerArn"]
    try:
        attributes = client.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    except client.exceptions.LoadBalancerNotFoundException:
        return {}  # AWS: deleting one that does not exist succeeds
    if {"Key": "deletion_protection.enabled", "Value": "true"} in attributes:
        raise AwsError(
            "OperationNotPermitted", f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        )
    return call.moto()


def describe_load_balancer_attributes(store: Store, call: Call) -> Answer:
    return {"Attributes": _with_defaults(call.moto()["Attributes"], _LOAD_BALANCER_ATTRIBUTES)}


def describe_target_group_attributes(store: Store, call: Call) -> Answer:
    return {"Attributes": _with_defaults(call.moto()["Attributes"], _TARGET_GROUP_ATTRIBUTES)}


def create_listener(store: Store, call: Call) -> Answer:
    port = int(call.parameters.get("Port") or 0)
    arn = call.parameters["LoadBalancerArn"]
    listeners = store.clients("elbv2", call.region).describe_listeners(LoadBalancerArn=arn)["Listeners"]
    if any(each["Port"] == port for each in listeners):
        raise AwsError("DuplicateListener", "A listener already exists on this port for this load balancer")
    _refuse_a_busy_port(store, port)
    return _with_whole_actions(call.moto())


def modify_listener(store: Store, call: Call) -> Answer:
    groups = {arn for action in call.parameters.get("DefaultActions") or [] for arn in _groups_of(action)}
    if groups:
        _require_groups(store, call, groups)
    return _with_whole_actions(call.moto())


def answer_with_whole_actions(store: Store, call: Call) -> Answer:
    return _with_whole_actions(call.moto())


def describe_target_groups(store: Store, call: Call) -> Answer:
    answer = call.moto()
    used = _load_balancers_by_group(call)
    for group in answer["TargetGroups"]:
        group["LoadBalancerArns"] = sorted(used.get(group["TargetGroupArn"], ()))
    return answer


def delete_target_group(store: Store, call: Call) -> Answer:
    answer = call.moto()
    with store.change():
        store.table(Targets).drop_group(call.parameters["TargetGroupArn"])
    return answer


def register_targets(store: Store, call: Call) -> Answer:
    group, targets = _targets_of(store, call)
    with store.change():
        table = store.table(Targets)
        for target in targets:
            table.draining.discard(target)
            table.registered.setdefault(group["TargetGroupArn"], {})[target] = None
    return {}


def deregister_targets(store: Store, call: Call) -> Answer:
    """A target that takes traffic drains first; the proxy says when it has no open request left."""
    group, targets = _targets_of(store, call)
    used = bool(group.get("LoadBalancerArns"))
    with store.change():
        table = store.table(Targets)
        registered = table.registered.setdefault(group["TargetGroupArn"], {})
        for target in targets:
            if target not in registered:
                raise AwsError("InvalidTarget", "The specified target does not exist or is not in the VPC of the group")
            del registered[target]
            state = table.health.pop(target, _INITIAL).state
            if used and state != "unused":
                table.draining.add(target)
    return {}


def describe_target_health(store: Store, call: Call) -> Answer:
    group, asked = _targets_of(store, call)
    with store.lock:
        table = store.table(Targets)
        registered = list(table.registered.get(group["TargetGroupArn"], {}))
        draining = sorted(target for target in table.draining if target[0] == group["TargetGroupArn"])
        found = asked or registered + [target for target in draining if target not in registered]
        return {
            "TargetHealthDescriptions": [
                {
                    "Target": {"Id": target[1], "Port": target[2]},
                    "HealthCheckPort": _check_port(group, target),
                    "TargetHealth": _shape(_health(table, group, target)),
                }
                for target in found
            ]
        }


def _health(table: Targets, group: dict[str, Any], target: Target) -> Health:
    if target in table.registered.get(target[0], {}):
        return table.health.get(target, _INITIAL) if group.get("LoadBalancerArns") else _NOT_IN_USE
    return _DRAINING if target in table.draining else _UNKNOWN


def _shape(health: Health) -> Answer:
    shape = {"State": health.state}
    if health.reason:
        shape |= {"Reason": health.reason, "Description": health.description}
    return shape


def _check_port(group: dict[str, Any], target: Target) -> str:
    port = group.get("HealthCheckPort") or "traffic-port"
    return str(target[2]) if port == "traffic-port" else str(port)


def _targets_of(store: Store, call: Call) -> tuple[dict[str, Any], list[Target]]:
    """The target group that is called upon, and the targets named: a target without a port has the group's."""
    arn = call.parameters["TargetGroupArn"]
    group = _require_groups(store, call, {arn})[0]
    named = call.parameters.get("Targets") or []
    return group, [(arn, each["Id"], int(each.get("Port") or group.get("Port") or 0)) for each in named]


def _require_groups(store: Store, call: Call, arns: set[str]) -> list[dict[str, Any]]:
    client = store.clients("elbv2", call.region)
    try:
        groups: list[dict[str, Any]] = client.describe_target_groups(TargetGroupArns=sorted(arns))["TargetGroups"]
    except client.exceptions.TargetGroupNotFoundException:
        groups = []
    if len(groups) < len(arns):
        raise AwsError("TargetGroupNotFound", f"Target groups '{', '.join(sorted(arns))}' not found")
    return groups


def _load_balancers_by_group(call: Call) -> dict[str, set[str]]:
    used: dict[str, set[str]] = {}
    for balancer, action in moto.listener_actions(call.account, call.region):
        for group in _groups_of(action):
            used.setdefault(group, set()).add(balancer)
    return used


def _groups_of(action: dict[str, Any]) -> list[str]:
    forward = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
    return [each["TargetGroupArn"] for each in forward] or [
        arn for arn in [action.get("TargetGroupArn")] if arn is not None
    ]


def _with_whole_actions(answer: Answer) -> Answer:
    """AWS answers a forward to one group in both its forms, whichever it was given."""
    for holder in [*answer.get("Listeners", []), *answer.get("Rules", [])]:
        for action in holder.get("DefaultActions") or holder.get("Actions") or []:
            if action["Type"] != "forward":
                continue
            groups = (action.get("ForwardConfig") or {}).get("TargetGroups")
            if not groups:
                action["ForwardConfig"] = {
                    "TargetGroups": [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}],
                    "TargetGroupStickinessConfig": {"Enabled": False},
                }
            elif len(groups) == 1:
                action["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    return answer


def _refuse_a_busy_port(store: Store, port: int) -> None:
    """AWS has no such error, but a listener that nobody can reach would be found much later."""
    ours = set(store.table(Targets).listeners.values())
    if port in ours or sockets.is_free(port):
        return
    owner = sockets.owner(port)
    reason = f"it is taken by {owner}" if owner else "it is taken, or below 1024 and not for this user"
    raise AwsError(
        "InvalidConfigurationRequest",
        f"the emulator cannot listen on 127.0.0.1:{port}: {reason}; stop that, or choose another port",
    )


def _named(answer: Answer) -> Answer:
    for balancer in answer["LoadBalancers"]:
        balancer["DNSName"] = _DNS_NAME
    return answer


def _with_defaults(attributes: list[dict[str, str]], defaults: dict[str, str]) -> list[dict[str, str]]:
    merged = defaults | {each["Key"]: str(each.get("Value", "")) for each in attributes}
    return [{"Key": key, "Value": value} for key, value in merged.items()]


OPERATIONS: dict[str, Operation] = {
    "CreateListener": create_listener,
    "CreateLoadBalancer": create_load_balancer,
    "CreateRule": answer_with_whole_actions,
    "DeleteLoadBalancer": delete_load_balancer,
    "DeleteTargetGroup": delete_target_group,
    "DeregisterTargets": deregister_targets,
    "DescribeListeners": answer_with_whole_actions,
    "DescribeLoadBalancerAttributes": describe_load_balancer_attributes,
    "DescribeLoadBalancers": describe_load_balancers,
    "DescribeRules": answer_with_whole_actions,
    "DescribeTargetGroupAttributes": describe_target_group_attributes,
    "DescribeTargetGroups": describe_target_groups,
    "DescribeTargetHealth": describe_target_health,
    "ModifyListener": modify_listener,
    "ModifyRule": answer_with_whole_actions,
    "RegisterTargets": register_targets,
}
