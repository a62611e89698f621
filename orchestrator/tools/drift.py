"""What became of what Terraform made: a table of resource type to a reading of the APIs, at a call or two each.

Terraform itself would tell it, at seconds per stack; ``status`` asks here and has the answer of all stacks within a
second. A reading compares what people change by hand, not every attribute: ``plan`` knows the rest. A test holds every
resource type of the stacks against ``READINGS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from orchestrator.tools.aws import ABSENT, Aws, code, explained

Json = Mapping[str, Any]
Attributes = Json
# Attribute to a pair: what the state has, what is there now.
Pairs = dict[str, tuple[Any, Any]]
# None: the resource is gone.
Reading = Callable[[Aws, Attributes], Pairs | None]
WORKERS = 8
GONE = "is gone"


@dataclass(frozen=True)
class Drift:
    """One resource that is not as its stack made it. ``words``: what is different, without the subject."""

    stack: str
    address: str
    type: str
    name: str
    words: str
    attributes: Attributes

    @property
    def gone(self) -> bool:
        return self.words == GONE


def read(aws: Aws, stacks: Mapping[str, Iterable[Json]]) -> list[Drift]:
    """Every drift of the managed resources of ``stacks`` (as their states have them), in the states' order."""
    resources = [
        (stack, resource, instance)
        for stack, managed in stacks.items()
        for resource in managed
        for instance in resource.get("instances", [])
    ]
    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="drift") as pool:
        compared = pool.map(lambda row: _compare(aws, *row), resources)
        return [drift for drift in compared if drift]


def _compare(aws: Aws, stack: str, resource: Json, instance: Json) -> Drift | None:
    attributes = instance["attributes"]
    reading = READINGS.get(resource["type"])
    if reading is None:
        return None
    words = _words(aws, reading, attributes, resource["type"])
    if not words:
        return None
    return Drift(
        stack, _address(resource, instance), resource["type"], _name(resource["type"], attributes), words, attributes
    )


def _words(aws: Aws, reading: Reading, attributes: Attributes, resource_type: str) -> str:
    from botocore.exceptions import ClientError

    with explained(f"looking at {resource_type} {_name(resource_type, attributes)}"):
        try:
            pairs = reading(aws, attributes)
        except ClientError as error:
            if not is_absent(error):
                raise
            pairs = None
    if pairs is None:
        return GONE
    changed = [
        f"{attribute} is {_shown(now)}, was {_shown(before)}"
        for attribute, (before, now) in pairs.items()
        if before != now
    ]
    return "; ".join(changed)


def is_absent(error: Exception) -> bool:
    """Whether AWS says of the thing that was asked about that it is not there."""
    return bool(ABSENT.search(code(error)))


def _address(resource: Json, instance: Json) -> str:
    key = instance.get("index_key")
    index = "" if key is None else f"[{json.dumps(key)}]"
    place = f"{resource['module']}." if resource.get("module") else ""
    return f"{place}{resource['type']}.{resource['name']}{index}"


def _name(resource_type: str, attributes: Attributes) -> str:
    """What people know it by."""
    named = NAMES.get(resource_type)
    if named:
        return named.format_map(attributes)
    for key in ("alarm_name", "function_name", "repository_name", "deployment_group_name", "name", "bucket", "family"):
        if attributes.get(key):
            return str(attributes[key])
    return str(attributes.get("id", "")).rpartition("/")[2]


# Where the name alone says too little.
NAMES = {
    "aws_cloudwatch_event_target": "{target_id} of rule {rule}",
    "aws_iam_role_policy": "{name} of role {role}",
    "aws_iam_role_policy_attachment": "{policy_arn} of role {role}",
    "aws_lb_listener": "on port {port}",
    "aws_vpc_security_group_egress_rule": "{id} (out, port {to_port} to {cidr_ipv4})",
    "aws_vpc_security_group_ingress_rule": "{id} (in, port {to_port} from {cidr_ipv4})",
}


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    if not text or text in ("null", "[]", "{}"):
        return "nothing"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _first(block: Any) -> dict[str, Any]:
    """A Terraform block of at most one."""
    return dict(block[0]) if block else {}


def _document(text: str | Json | None) -> Any:
    """A policy, whatever the order of its lists: AWS keeps none."""
    return _ordered(json.loads(text) if isinstance(text, str) and text else text or {})


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _ordered(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inner = sorted((_ordered(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        return inner[0] if len(inner) == 1 else inner
    return value


# EC2


def _ec2(call: str, key: str, parameter: str) -> Reading:
    def reading(aws: Aws, before: Attributes) -> Pairs | None:
        return {} if getattr(aws.client("ec2"), call)(**{parameter: [before["id"]]})[key] else None

    return reading


def _internet_gateway(aws: Aws, before: Attributes) -> Pairs | None:
    gateway = aws.client("ec2").describe_internet_gateways(InternetGatewayIds=[before["id"]])["InternetGateways"][0]
    attached = [attachment["VpcId"] for attachment in gateway.get("Attachments", [])]
    return {"vpc_id": (before["vpc_id"], attached[0] if attached else "")}


def _route_table(aws: Aws, before: Attributes) -> Pairs | None:
    table = aws.client("ec2").describe_route_tables(RouteTableIds=[before["id"]])["RouteTables"][0]
    routes = {
        route.get("DestinationCidrBlock", ""): route.get("GatewayId", "")
        for route in table["Routes"]
        if route.get("GatewayId") != "local"
    }
    return {"route": ({route["cidr_block"]: route["gateway_id"] for route in before["route"]}, routes)}


def _route_table_association(aws: Aws, before: Attributes) -> Pairs | None:
    answer = aws.client("ec2").describe_route_tables(
        Filters=[{"Name": "association.route-table-association-id", "Values": [before["id"]]}]
    )
    return {} if answer["RouteTables"] else None


def _security_group_rule(aws: Aws, before: Attributes) -> Pairs | None:
    rules = aws.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[before["id"]])["SecurityGroupRules"]
    if not rules:
        return None
    now = rules[0]
    pairs: Pairs = {
        "cidr_ipv4": (before.get("cidr_ipv4") or None, now.get("CidrIpv4")),
        "ip_protocol": (before["ip_protocol"], now["IpProtocol"]),
    }
    if before["ip_protocol"] != "-1":
        pairs["from_port"] = (before["from_port"], now.get("FromPort"))
        pairs["to_port"] = (before["to_port"], now.get("ToPort"))
    return pairs


# Elastic Load Balancing


def _load_balancer(aws: Aws, before: Attributes) -> Pairs | None:
    client = aws.client("elbv2")
    now = client.describe_load_balancers(LoadBalancerArns=[before["arn"]])["LoadBalancers"][0]
    attributes = _attributes(client.describe_load_balancer_attributes(LoadBalancerArn=before["arn"]))
    return {
        "security_groups": (sorted(before["security_groups"]), sorted(now.get("SecurityGroups", []))),
        "subnets": (sorted(before["subnets"]), sorted(zone["SubnetId"] for zone in now["AvailabilityZones"])),
        "idle_timeout": (str(before["idle_timeout"]), attributes.get("idle_timeout.timeout_seconds")),
    }


def _attributes(answer: Json) -> dict[str, str]:
    return {attribute["Key"]: attribute["Value"] for attribute in answer["Attributes"]}


def _listener(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("elbv2").describe_listeners(ListenerArns=[before["arn"]])["Listeners"][0]
    certificates = [certificate["CertificateArn"] for certificate in now.get("Certificates", [])]
    return {
        "port": (before["port"], now["Port"]),
        "protocol": (before["protocol"], now["Protocol"]),
        "certificate_arn": (before.get("certificate_arn") or "", certificates[0] if certificates else ""),
    }


def _target_group(aws: Aws, before: Attributes) -> Pairs | None:
    client = aws.client("elbv2")
    now = client.describe_target_groups(TargetGroupArns=[before["arn"]])["TargetGroups"][0]
    attributes = _attributes(client.describe_target_group_attributes(TargetGroupArn=before["arn"]))
    check, sticky = _first(before["health_check"]), _first(before["stickiness"])
    return {
        "health_check.path": (check.get("path"), now.get("HealthCheckPath")),
        "health_check.port": (check.get("port"), now.get("HealthCheckPort")),
        "health_check.matcher": (check.get("matcher"), now.get("Matcher", {}).get("HttpCode")),
        "health_check.interval": (check.get("interval"), now.get("HealthCheckIntervalSeconds")),
        "health_check.timeout": (check.get("timeout"), now.get("HealthCheckTimeoutSeconds")),
        "health_check.healthy_threshold": (check.get("healthy_threshold"), now.get("HealthyThresholdCount")),
        "health_check.unhealthy_threshold": (check.get("unhealthy_threshold"), now.get("UnhealthyThresholdCount")),
        "deregistration_delay": (
            str(before["deregistration_delay"]),
            attributes.get("deregistration_delay.timeout_seconds"),
        ),
        "stickiness.enabled": (sticky.get("enabled", False), attributes.get("stickiness.enabled") == "true"),
    }


# ECS and its autoscaling


def _cluster(aws: Aws, before: Attributes) -> Pairs | None:
    clusters = aws.client("ecs").describe_clusters(clusters=[before["name"]], include=["SETTINGS"])["clusters"]
    if not clusters or clusters[0]["status"] == "INACTIVE":
        return None
    now = {setting["name"]: setting["value"] for setting in clusters[0].get("settings", [])}
    was = {setting["name"]: setting["value"] for setting in before.get("setting", [])}
    return {"setting": (was, {name: value for name, value in now.items() if name in was})}


def _capacity_providers(aws: Aws, before: Attributes) -> Pairs | None:
    clusters = aws.client("ecs").describe_clusters(clusters=[before["cluster_name"]])["clusters"]
    if not clusters or clusters[0]["status"] == "INACTIVE":
        return None
    now = sorted(clusters[0].get("capacityProviders", []))
    return {"capacity_providers": (sorted(before["capacity_providers"]), now)}


def _service(aws: Aws, before: Attributes) -> Pairs | None:
    cluster = before["cluster"].rpartition("/")[2]
    services = aws.client("ecs").describe_services(cluster=cluster, services=[before["name"]])["services"]
    if not services or services[0]["status"] != "ACTIVE":
        return None
    grace = services[0].get("healthCheckGracePeriodSeconds", 0)
    return {"health_check_grace_period_seconds": (before["health_check_grace_period_seconds"] or 0, grace)}


def _task_definition(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("ecs").describe_task_definition(taskDefinition=before["arn"])["taskDefinition"]
    return {} if now["status"] == "ACTIVE" else None


def _scalable_target(aws: Aws, before: Attributes) -> Pairs | None:
    targets = aws.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=before["service_namespace"],
        ResourceIds=[before["resource_id"]],
        ScalableDimension=before["scalable_dimension"],
    )["ScalableTargets"]
    if not targets:
        return None
    now = targets[0]
    was, suspended = _first(before.get("suspended_state")), now.get("SuspendedState", {})
    return {
        "min_capacity": (before["min_capacity"], now["MinCapacity"]),
        "max_capacity": (before["max_capacity"], now["MaxCapacity"]),
        "suspended_state": (
            sorted(key for key, value in was.items() if value),
            sorted(_SUSPENDED[key] for key, value in suspended.items() if value),
        ),
    }


_SUSPENDED = {
    "DynamicScalingInSuspended": "dynamic_scaling_in_suspended",
    "DynamicScalingOutSuspended": "dynamic_scaling_out_suspended",
    "ScheduledScalingSuspended": "scheduled_scaling_suspended",
}


def _scaling_policy(aws: Aws, before: Attributes) -> Pairs | None:
    policies = aws.client("application-autoscaling").describe_scaling_policies(
        ServiceNamespace=before["service_namespace"], PolicyNames=[before["name"]], ResourceId=before["resource_id"]
    )["ScalingPolicies"]
    if not policies:
        return None
    tracking = policies[0].get("TargetTrackingScalingPolicyConfiguration", {})
    wanted = _first(before["target_tracking_scaling_policy_configuration"])
    return {"target_value": (wanted.get("target_value"), tracking.get("TargetValue"))}


# What watches and what releases


def _alarm(aws: Aws, before: Attributes) -> Pairs | None:
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=[before["alarm_name"]])["MetricAlarms"]
    if not alarms:
        return None
    now = alarms[0]
    keys = {
        "actions_enabled": "ActionsEnabled",
        "threshold": "Threshold",
        "metric_name": "MetricName",
        "period": "Period",
        "evaluation_periods": "EvaluationPeriods",
        "comparison_operator": "ComparisonOperator",
        "statistic": "Statistic",
        "treat_missing_data": "TreatMissingData",
    }
    pairs: Pairs = {attribute: (before[attribute], now.get(key)) for attribute, key in keys.items()}
    pairs["dimensions"] = (
        before["dimensions"],
        {dimension["Name"]: dimension["Value"] for dimension in now.get("Dimensions", [])},
    )
    return pairs


def _codedeploy_application(aws: Aws, before: Attributes) -> Pairs | None:
    aws.client("codedeploy").get_application(applicationName=before["name"])
    return {}


def _deployment_config(aws: Aws, before: Attributes) -> Pairs | None:
    aws.client("codedeploy").get_deployment_config(deploymentConfigName=before["deployment_config_name"])
    return {}


def _deployment_group(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("codedeploy").get_deployment_group(
        applicationName=before["app_name"], deploymentGroupName=before["deployment_group_name"]
    )["deploymentGroupInfo"]
    alarms, rollback = _first(before["alarm_configuration"]), _first(before["auto_rollback_configuration"])
    alarms_now, rollback_now = now.get("alarmConfiguration", {}), now.get("autoRollbackConfiguration", {})
    blue = _first(_first(before["blue_green_deployment_config"]).get("terminate_blue_instances_on_deployment_success"))
    blue_now = now.get("blueGreenDeploymentConfiguration", {}).get("terminateBlueInstancesOnDeploymentSuccess", {})
    wait = "termination_wait_time_in_minutes"
    return {
        "service_role_arn": (before["service_role_arn"], now.get("serviceRoleArn")),
        "deployment_config_name": (before["deployment_config_name"], now.get("deploymentConfigName")),
        "alarm_configuration.enabled": (alarms.get("enabled", False), alarms_now.get("enabled", False)),
        "alarm_configuration.alarms": (
            sorted(alarms.get("alarms", [])),
            sorted(alarm["name"] for alarm in alarms_now.get("alarms", [])),
        ),
        "auto_rollback_configuration.enabled": (rollback.get("enabled", False), rollback_now.get("enabled", False)),
        "auto_rollback_configuration.events": (
            sorted(rollback.get("events", [])),
            sorted(rollback_now.get("events", [])),
        ),
        wait: (blue.get(wait), blue_now.get("terminationWaitTimeInMinutes")),
    }


def _pipeline(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("codepipeline").get_pipeline(name=before["name"])["pipeline"]
    return {
        "stage": (
            [[stage["name"], *(action["name"] for action in stage["action"])] for stage in before["stage"]],
            [[stage["name"], *(action["name"] for action in stage["actions"])] for stage in now["stages"]],
        ),
        "role_arn": (before["role_arn"], now["roleArn"]),
    }


def _build_project(aws: Aws, before: Attributes) -> Pairs | None:
    projects = aws.client("codebuild").batch_get_projects(names=[before["name"]])["projects"]
    if not projects:
        return None
    now, environment = projects[0], projects[0].get("environment", {})
    wanted, source = _first(before["environment"]), _first(before["source"])
    return {
        "service_role": (before["service_role"], now.get("serviceRole")),
        "build_timeout": (before["build_timeout"], now.get("timeoutInMinutes")),
        "environment.image": (wanted.get("image"), environment.get("image")),
        "environment.privileged_mode": (wanted.get("privileged_mode"), environment.get("privilegedMode", False)),
        "source.buildspec": (source.get("buildspec") or "", now.get("source", {}).get("buildspec") or ""),
    }


def _repository(aws: Aws, before: Attributes) -> Pairs | None:
    aws.client("codecommit").get_repository(repositoryName=before["repository_name"])
    return {}


def _connection(aws: Aws, before: Attributes) -> Pairs | None:
    aws.client("codeconnections").get_connection(ConnectionArn=before["arn"])
    return {}


def _event_rule(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("events").describe_rule(Name=before["name"])
    return {
        "state": (before["state"], now["State"]),
        "event_pattern": (_document(before["event_pattern"]), _document(now.get("EventPattern"))),
    }


def _event_target(aws: Aws, before: Attributes) -> Pairs | None:
    targets = aws.client("events").list_targets_by_rule(Rule=before["rule"])["Targets"]
    for target in targets:
        if target["Id"] == before["target_id"]:
            return {"arn": (before["arn"], target["Arn"]), "role_arn": (before["role_arn"], target.get("RoleArn"))}
    return None


def _function(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("lambda").get_function(FunctionName=before["function_name"])["Configuration"]
    return {
        "code": (before["code_sha256"], now["CodeSha256"]),
        "handler": (before["handler"], now["Handler"]),
        "role": (before["role"], now["Role"]),
        "timeout": (before["timeout"], now["Timeout"]),
        "environment": (
            _first(before["environment"]).get("variables", {}),
            now.get("Environment", {}).get("Variables", {}),
        ),
    }


def _log_group(aws: Aws, before: Attributes) -> Pairs | None:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=before["name"])["logGroups"]
    for group in groups:
        if group["logGroupName"] == before["name"]:
            return {"retention_in_days": (before["retention_in_days"], group.get("retentionInDays", 0))}
    return None


# Who may do what


def _role(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("iam").get_role(RoleName=before["name"])["Role"]
    trust = (_document(before["assume_role_policy"]), _document(now["AssumeRolePolicyDocument"]))
    return {"assume_role_policy": trust}


def _role_policy(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("iam").get_role_policy(RoleName=before["role"], PolicyName=before["name"])
    return {"policy": (_document(before["policy"]), _document(now["PolicyDocument"]))}


def _role_attachment(aws: Aws, before: Attributes) -> Pairs | None:
    attached = aws.client("iam").list_attached_role_policies(RoleName=before["role"])["AttachedPolicies"]
    return {} if any(policy["PolicyArn"] == before["policy_arn"] for policy in attached) else None


# What is kept


def _secret(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("secretsmanager").describe_secret(SecretId=before["arn"])
    return {
        "deletion": ("nothing", f"scheduled for {now['DeletedDate']:%Y-%m-%d}" if "DeletedDate" in now else "nothing")
    }


def _secret_version(aws: Aws, before: Attributes) -> Pairs | None:
    """Terraform's own version only says that there is a value; which one is current is ``secret set``'s business."""
    now = aws.client("secretsmanager").describe_secret(SecretId=before["secret_id"])
    if "DeletedDate" in now:
        return {}  # the secret says it
    current = any("AWSCURRENT" in stages for stages in now.get("VersionIdsToStages", {}).values())
    return {} if current else None


def _key(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("kms").describe_key(KeyId=before["key_id"])["KeyMetadata"]
    return {"state": ("Enabled", now["KeyState"])}


def _key_alias(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("kms").describe_key(KeyId=before["name"])["KeyMetadata"]
    return {"target_key_id": (before["target_key_id"], now["KeyId"])}


def _registry(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("ecr").describe_repositories(repositoryNames=[before["name"]])["repositories"][0]
    scans = _first(before["image_scanning_configuration"]).get("scan_on_push", False)
    return {
        "image_tag_mutability": (before["image_tag_mutability"], now["imageTagMutability"]),
        "scan_on_push": (scans, now.get("imageScanningConfiguration", {}).get("scanOnPush", False)),
    }


def _registry_policy(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("ecr").get_lifecycle_policy(repositoryName=before["repository"])
    return {"policy": (_document(before["policy"]), _document(now["lifecyclePolicyText"]))}


def _bucket(aws: Aws, before: Attributes) -> Pairs | None:
    aws.client("s3").head_bucket(Bucket=before["bucket"])
    return {}


def _bucket_versioning(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("s3").get_bucket_versioning(Bucket=before["bucket"])
    return {"status": (_first(before["versioning_configuration"]).get("status"), now.get("Status", ""))}


def _bucket_public_access(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("s3").get_public_access_block(Bucket=before["bucket"])["PublicAccessBlockConfiguration"]
    keys = {
        "block_public_acls": "BlockPublicAcls",
        "block_public_policy": "BlockPublicPolicy",
        "ignore_public_acls": "IgnorePublicAcls",
        "restrict_public_buckets": "RestrictPublicBuckets",
    }
    return {attribute: (before[attribute], now.get(key, False)) for attribute, key in keys.items()}


def _bucket_encryption(aws: Aws, before: Attributes) -> Pairs | None:
    now = aws.client("s3").get_bucket_encryption(Bucket=before["bucket"])["ServerSideEncryptionConfiguration"]["Rules"]
    rule = now[0].get("ApplyServerSideEncryptionByDefault", {}) if now else {}
    wanted = _first(_first(before["rule"]).get("apply_server_side_encryption_by_default"))
    return {
        "sse_algorithm": (wanted.get("sse_algorithm"), rule.get("SSEAlgorithm")),
        "kms_master_key_id": (wanted.get("kms_master_key_id") or "", rule.get("KMSMasterKeyID", "")),
    }


def _bucket_lifecycle(aws: Aws, before: Attributes) -> Pairs | None:
    rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=before["bucket"])["Rules"]
    now = sorted((rule.get("ID", ""), rule["Status"], rule.get("Expiration", {}).get("Days")) for rule in rules)
    was = sorted((rule["id"], rule["status"], _first(rule["expiration"]).get("days")) for rule in before["rule"])
    return {"rule": (was, now)}


READINGS: dict[str, Reading] = {
    "aws_appautoscaling_policy": _scaling_policy,
    "aws_appautoscaling_target": _scalable_target,
    "aws_cloudwatch_event_rule": _event_rule,
    "aws_cloudwatch_event_target": _event_target,
    "aws_cloudwatch_log_group": _log_group,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_codebuild_project": _build_project,
    "aws_codecommit_repository": _repository,
    "aws_codedeploy_app": _codedeploy_application,
    "aws_codedeploy_deployment_config": _deployment_config,
    "aws_codedeploy_deployment_group": _deployment_group,
    "aws_codepipeline": _pipeline,
    "aws_codestarconnections_connection": _connection,
    "aws_ecr_lifecycle_policy": _registry_policy,
    "aws_ecr_repository": _registry,
    "aws_ecs_cluster": _cluster,
    "aws_ecs_cluster_capacity_providers": _capacity_providers,
    "aws_ecs_service": _service,
    "aws_ecs_task_definition": _task_definition,
    "aws_iam_role": _role,
    "aws_iam_role_policy": _role_policy,
    "aws_iam_role_policy_attachment": _role_attachment,
    "aws_internet_gateway": _internet_gateway,
    "aws_kms_alias": _key_alias,
    "aws_kms_key": _key,
    "aws_lambda_function": _function,
    "aws_lb": _load_balancer,
    "aws_lb_listener": _listener,
    "aws_lb_target_group": _target_group,
    "aws_route_table": _route_table,
    "aws_route_table_association": _route_table_association,
    "aws_s3_bucket": _bucket,
    "aws_s3_bucket_lifecycle_configuration": _bucket_lifecycle,
    "aws_s3_bucket_public_access_block": _bucket_public_access,
    "aws_s3_bucket_server_side_encryption_configuration": _bucket_encryption,
    "aws_s3_bucket_versioning": _bucket_versioning,
    "aws_secretsmanager_secret": _secret,
    "aws_secretsmanager_secret_version": _secret_version,
    "aws_security_group": _ec2("describe_security_groups", "SecurityGroups", "GroupIds"),
    "aws_subnet": _ec2("describe_subnets", "Subnets", "SubnetIds"),
    "aws_vpc": _ec2("describe_vpcs", "Vpcs", "VpcIds"),
    "aws_vpc_security_group_egress_rule": _security_group_rule,
    "aws_vpc_security_group_ingress_rule": _security_group_rule,
}
