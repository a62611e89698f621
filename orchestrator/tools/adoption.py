"""Finds the resource that a planned create would double: a table of resource type to a look-up by name or tag.

Used only after a run of ours was cut off between a create and the saving of the state. A test holds every resource type
of the stacks against ``FINDERS`` and ``PUTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.tools import ownership, source
from orchestrator.tools.aws import Aws, code

# Their create call is a put, so doing it twice is doing it once; of a task definition it makes one more revision.
PUTS = frozenset({
    "aws_appautoscaling_policy", "aws_appautoscaling_target", "aws_cloudwatch_event_rule",
    "aws_cloudwatch_event_target", "aws_cloudwatch_metric_alarm", "aws_ecr_lifecycle_policy", "aws_ecs_cluster",
    "aws_ecs_cluster_capacity_providers", "aws_ecs_task_definition", "aws_iam_role_policy",
    "aws_iam_role_policy_attachment", "aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block", "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning", "aws_secretsmanager_secret_version",
})  # fmt: skip

Values = Mapping[str, Any]
Finder = Callable[[Aws, Values], str | None]


def find(aws: Aws, resource_type: str, values: Values) -> str | None:
    """The import id of the existing resource with the planned ``values``; None when there is none.

    Raises NotNow where there is one, of another owner.
    """
    from botocore.exceptions import ClientError

    finder = FINDERS.get(resource_type)
    if finder is None:
        return None
    try:
        if identifier := finder(aws, values):
            ownership.check(aws, resource_type, identifier, values)
        return identifier
    except KeyError:
        # A value that is known only after the apply of another resource: nothing can exist that depends on it yet.
        return None
    except ClientError as error:
        # A HEAD has no body to name its error in: HeadBucket's is its status alone.
        if code(error) == "404" or any(word in code(error) for word in ("NotFound", "NoSuch", "DoesNotExist")):
            return None
        raise


def complete(aws: Aws, resource_type: str, identifier: str) -> None:
    """Does what Terraform does after the create call, for a resource whose creation was cut off between the two.

    A new security group lets everything out until Terraform revokes that rule; of ours each has a tag, of AWS's none.
    Whatever else takes a second call is an attribute, so the next plan shows it and its apply sets it.
    """
    if resource_type != "aws_security_group":
        return
    given = [
        rule["SecurityGroupRuleId"]
        for rule in _rules(aws, identifier)
        if rule["IsEgress"] and rule["IpProtocol"] == "-1" and not rule.get("Tags")
    ]
    if given:
        aws.client("ec2").revoke_security_group_egress(GroupId=identifier, SecurityGroupRuleIds=given)


def _by_tags(service_call: str, key: str, id_key: str, more: tuple[tuple[str, str], ...] = ()) -> Finder:
    """An EC2 resource by its tags, and by ``more``: pairs of an API filter and the planned attribute that it equals."""

    def finder(aws: Aws, values: Values) -> str | None:
        tags = values["tags_all"]
        filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in sorted(tags.items())]
        filters += [{"Name": name, "Values": [str(values[attribute])]} for name, attribute in more]
        found = getattr(aws.client("ec2"), service_call)(Filters=filters)[key]
        return str(found[0][id_key]) if len(found) == 1 else None

    return finder


def _by_call(service: str, call: str, parameter: str, attribute: str, *path: str | int) -> Finder:
    """One look-up by name: ``path`` leads from the answer to the import id."""

    def finder(aws: Aws, values: Values) -> str | None:
        value: Any = values[attribute]
        found: Any = getattr(aws.client(service), call)(**{parameter: [value] if parameter.endswith("s") else value})
        for step in path:
            if isinstance(step, int) and not found:
                return None
            found = found[step]
        return str(found)

    return finder


def _route(aws: Aws, values: Values) -> str | None:
    table, destination = values["route_table_id"], values["destination_cidr_block"]
    found = aws.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    routes = [route for entry in found for route in entry.get("Routes", [])]
    return f"{table}_{destination}" if any(r.get("DestinationCidrBlock") == destination for r in routes) else None


def _route_table_association(aws: Aws, values: Values) -> str | None:
    subnet, table = values["subnet_id"], values["route_table_id"]
    filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
    found = aws.client("ec2").describe_route_tables(Filters=filters)["RouteTables"]
    return f"{subnet}/{table}" if any(entry["RouteTableId"] == table for entry in found) else None


def _rules(aws: Aws, group: str) -> list[dict[str, Any]]:
    filters = [{"Name": "group-id", "Values": [group]}]
    found: list[dict[str, Any]] = aws.client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    return found


def _rule(egress: bool) -> Finder:
    def finder(aws: Aws, values: Values) -> str | None:
        for rule in _rules(aws, values["security_group_id"]):
            same = (
                rule["IsEgress"] is egress
                and rule.get("IpProtocol") == values["ip_protocol"]
                and rule.get("CidrIpv4") == values.get("cidr_ipv4")
                and rule.get("CidrIpv6") == values.get("cidr_ipv6")
                and rule.get("ReferencedGroupInfo", {}).get("GroupId") == values.get("referenced_security_group_id")
                and (values["ip_protocol"] == "-1" or rule.get("FromPort") == values.get("from_port"))
            )
            if same:
                return str(rule["SecurityGroupRuleId"])
        return None

    return finder


def _security_group(aws: Aws, values: Values) -> str | None:
    filters = [{"Name": "group-name", "Values": [values["name"]]}, {"Name": "vpc-id", "Values": [values["vpc_id"]]}]
    found = aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(found[0]["GroupId"]) if found else None


def _listener(aws: Aws, values: Values) -> str | None:
    answer = aws.client("elbv2").describe_listeners(LoadBalancerArn=values["load_balancer_arn"])
    for listener in answer["Listeners"]:
        if listener["Port"] == values["port"]:
            return str(listener["ListenerArn"])
    return None


def _log_group(aws: Aws, values: Values) -> str | None:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=values["name"])["logGroups"]
    return values["name"] if any(group["logGroupName"] == values["name"] for group in groups) else None


def _secret(aws: Aws, values: Values) -> str | None:
    found = aws.client("secretsmanager").describe_secret(SecretId=values["name"])
    return None if found.get("DeletedDate") else str(found["ARN"])


def _ecs_service(aws: Aws, values: Values) -> str | None:
    cluster = values["cluster"].rpartition("/")[2]
    found = aws.client("ecs").describe_services(cluster=cluster, services=[values["name"]])["services"]
    return f"{cluster}/{values['name']}" if any(entry["status"] == "ACTIVE" for entry in found) else None


def _deployment_group(aws: Aws, values: Values) -> str | None:
    application, group = values["app_name"], values["deployment_group_name"]
    aws.client("codedeploy").get_deployment_group(applicationName=application, deploymentGroupName=group)
    return f"{application}:{group}"


def _policy(aws: Aws, values: Values) -> str | None:
    for page in aws.client("iam").get_paginator("list_policies").paginate(Scope="Local"):
        for policy in page["Policies"]:
            if policy["PolicyName"] == values["name"]:
                return str(policy["Arn"])
    return None


def _permission(aws: Aws, values: Values) -> str | None:
    policy = aws.client("lambda").get_policy(FunctionName=values["function_name"])["Policy"]
    sid = values["statement_id"]
    return f"{values['function_name']}/{sid}" if f'"{sid}"' in policy else None


def _kms_key(aws: Aws, values: Values) -> str | None:
    kms, tags = aws.client("kms"), values["tags_all"].items()
    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            description = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if description["KeyState"] != "Enabled" or description.get("Description") != values.get("description"):
                continue
            found = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]}
            if tags <= found.items():
                return str(key["KeyId"])
    return None


def _kms_alias(aws: Aws, values: Values) -> str | None:
    for page in aws.client("kms").get_paginator("list_aliases").paginate():
        if any(alias["AliasName"] == values["name"] for alias in page["Aliases"]):
            return str(values["name"])
    return None


def _bucket(aws: Aws, values: Values) -> str | None:
    aws.client("s3").head_bucket(Bucket=values["bucket"])
    return str(values["bucket"])


def _connection(aws: Aws, values: Values) -> str | None:
    return source.named(aws, values["name"]) or None


FINDERS: dict[str, Finder] = {
    "aws_codebuild_project": _by_call("codebuild", "batch_get_projects", "names", "name", "projects", 0, "name"),
    "aws_codecommit_repository": _by_call(
        "codecommit", "get_repository", "repositoryName", "repository_name", "repositoryMetadata", "repositoryName"
    ),
    "aws_codedeploy_app": _by_call(
        "codedeploy", "get_application", "applicationName", "name", "application", "applicationName"
    ),
    "aws_codedeploy_deployment_config": _by_call(
        "codedeploy", "get_deployment_config", "deploymentConfigName", "deployment_config_name",
        "deploymentConfigInfo", "deploymentConfigName",
    ),
    "aws_codedeploy_deployment_group": _deployment_group,
    "aws_codepipeline": _by_call("codepipeline", "get_pipeline", "name", "name", "pipeline", "name"),
    "aws_codestarconnections_connection": _connection,
    "aws_ecr_repository": _by_call(
        "ecr", "describe_repositories", "repositoryNames", "name", "repositories", 0, "repositoryName"
    ),
    "aws_ecs_service": _ecs_service,
    "aws_iam_policy": _policy,
    "aws_iam_role": _by_call("iam", "get_role", "RoleName", "name", "Role", "RoleName"),
    "aws_internet_gateway": _by_tags("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "aws_kms_alias": _kms_alias,
    "aws_kms_key": _kms_key,
    "aws_lambda_function": _by_call(
        "lambda", "get_function", "FunctionName", "function_name", "Configuration", "FunctionName"
    ),
    "aws_lambda_permission": _permission,
    "aws_lb": _by_call("elbv2", "describe_load_balancers", "Names", "name", "LoadBalancers", 0, "LoadBalancerArn"),
    "aws_lb_listener": _listener,
    "aws_lb_target_group": _by_call(
        "elbv2", "describe_target_groups", "Names", "name", "TargetGroups", 0, "TargetGroupArn"
    ),
    "aws_cloudwatch_log_group": _log_group,
    "aws_route": _route,
    "aws_route_table": _by_tags("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws_route_table_association": _route_table_association,
    "aws_s3_bucket": _bucket,
    "aws_secretsmanager_secret": _secret,
    "aws_security_group": _security_group,
    "aws_subnet": _by_tags("describe_subnets", "Subnets", "SubnetId", (("cidrBlock", "cidr_block"),)),
    "aws_vpc": _by_tags("describe_vpcs", "Vpcs", "VpcId"),
    "aws_vpc_security_group_egress_rule": _rule(True),
    "aws_vpc_security_group_ingress_rule": _rule(False),
}  # fmt: skip
