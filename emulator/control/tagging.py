"""Resource Groups Tagging API: moto's answer, and the resources of the services that are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from emulator.control.operation import Operation
from emulator.control.tags import tag_map, tag_pairs
from emulator.state.call import Answer, Call
from emulator.state.store import Store

Clients = Callable[[str], Any]  # of the call's region
Tagged = Iterator[tuple[str, list[Answer]]]  # ARN, tags as the service has them


def get_resources(store: Store, call: Call) -> Answer:
    """All of them in one page: the emulator has few."""
    found = {each["ResourceARN"]: each for each in call.moto()["ResourceTagMappingList"]}

    def clients(service: str) -> Any:
        return store.clients(service, call.region)

    for source in _SOURCES:
        for arn, tags in source(clients):
            shape = {"ResourceARN": arn, "Tags": [_tag(each) for each in tags]}
            if tags and _wanted(call.parameters, shape):
                found[arn] = shape
    return {"PaginationToken": "", "ResourceTagMappingList": [found[arn] for arn in sorted(found)]}


def _wanted(asked: dict[str, Any], shape: Answer) -> bool:
    if asked.get("ResourceARNList") and shape["ResourceARN"] not in asked["ResourceARNList"]:
        return False
    kinds = asked.get("ResourceTypeFilters")
    if kinds and not any(_is_of(shape["ResourceARN"], kind) for kind in kinds):
        return False
    tags = tag_map(shape["Tags"])
    return all(
        each["Key"] in tags and (not each.get("Values") or tags[each["Key"]] in each["Values"])
        for each in asked.get("TagFilters") or []
    )


def _is_of(arn: str, kind: str) -> bool:
    """ecs:service and ecs are kinds of arn:aws:ecs:…:service/shop/web."""
    service, _, resource = kind.partition(":")
    parts = arn.split(":", 5)
    return parts[2] == service and (not resource or parts[5].replace(":", "/").split("/")[0] == resource)


def _tag(tag: Answer) -> Answer:
    return {"Key": tag.get("Key", tag.get("key")), "Value": tag.get("Value", tag.get("value"))}


def _ecs(clients: Clients) -> Tagged:
    ecs = clients("ecs")
    clusters = ecs.list_clusters()["clusterArns"]
    services = [arn for cluster in clusters for arn in ecs.list_services(cluster=cluster)["serviceArns"]]
    definitions = ecs.list_task_definitions()["taskDefinitionArns"]
    for arn in [*clusters, *services, *definitions]:
        yield arn, ecs.list_tags_for_resource(resourceArn=arn)["tags"]


def _ecr(clients: Clients) -> Tagged:
    ecr = clients("ecr")
    for repository in ecr.describe_repositories()["repositories"]:
        arn = repository["repositoryArn"]
        yield arn, ecr.list_tags_for_resource(resourceArn=arn)["tags"]


def _alarms(clients: Clients) -> Tagged:
    cloudwatch = clients("cloudwatch")
    for alarm in cloudwatch.describe_alarms()["MetricAlarms"]:
        yield alarm["AlarmArn"], cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]


def _scalable_targets(clients: Clients) -> Tagged:
    scaling = clients("application-autoscaling")
    for target in scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]:
        arn = target["ScalableTargetARN"]
        yield arn, tag_pairs(scaling.list_tags_for_resource(ResourceARN=arn)["Tags"])


def _codecommit(clients: Clients) -> Tagged:
    codecommit = clients("codecommit")
    for repository in codecommit.list_repositories()["repositories"]:
        found = codecommit.get_repository(repositoryName=repository["repositoryName"])["repositoryMetadata"]
        yield found["Arn"], tag_pairs(codecommit.list_tags_for_resource(resourceArn=found["Arn"])["tags"])


def _connections(clients: Clients) -> Tagged:
    connections = clients("codeconnections")
    for connection in connections.list_connections()["Connections"]:
        arn = connection["ConnectionArn"]
        yield arn, connections.list_tags_for_resource(ResourceArn=arn)["Tags"]


def _codepipeline(clients: Clients) -> Tagged:
    codepipeline = clients("codepipeline")
    for pipeline in codepipeline.list_pipelines()["pipelines"]:
        arn = codepipeline.get_pipeline(name=pipeline["name"])["metadata"]["pipelineArn"]
        yield arn, codepipeline.list_tags_for_resource(resourceArn=arn)["tags"]


def _codebuild(clients: Clients) -> Tagged:
    codebuild = clients("codebuild")
    names = codebuild.list_projects()["projects"]
    for project in codebuild.batch_get_projects(names=names)["projects"] if names else []:
        yield project["arn"], project.get("tags", [])


_SOURCES: list[Callable[[Clients], Tagged]] = [
    _alarms,
    _codebuild,
    _codecommit,
    _codepipeline,
    _connections,
    _ecr,
    _ecs,
    _scalable_targets,
]

OPERATIONS: dict[str, Operation] = {"GetResources": get_resources}
