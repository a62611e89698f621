"""What is there at one moment: the page as a visitor gets it, and everything behind it, asked at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator import history, phases
from orchestrator.site import Site
from orchestrator.tools import drift, traffic
from orchestrator.tools import page as pages
from orchestrator.tools.aws import Aws, explained

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What was there at one moment, as the APIs and the page answered. An absent thing is None or empty."""

    network: Json
    ecs: Json
    secret: Json
    pipeline: Json
    page: pages.Look
    model: pages.Look | None = None
    drifts: tuple[drift.Drift, ...] = ()
    listeners: Mapping[str, Json | None] = field(default_factory=dict)  # production, test: as ELB describes them
    rules: Mapping[str, list[Json]] = field(default_factory=dict)  # those that are not the default
    targets: Mapping[str, list[Json]] = field(default_factory=dict)  # by colour: health descriptions
    service: Json | None = None
    tasks: tuple[Json, ...] = ()
    stopped: tuple[Json, ...] = ()  # the newest first
    revision: Json | None = None  # the live task definition
    image_there: bool = True
    deployment: Json | None = None  # the one that runs
    alarms: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[Json, ...] = ()  # of the pipeline

    @property
    def primary(self) -> Json | None:
        """The task set that serves."""
        sets = (self.service or {}).get("taskSets", [])
        return next((task_set for task_set in sets if task_set["status"] == "PRIMARY"), None)

    @property
    def home(self) -> str:
        """The target group of what serves; empty when nothing does."""
        balancers = (self.primary or {}).get("loadBalancers", [])
        return str(balancers[0]["targetGroupArn"]) if balancers else ""

    def colour(self, group: str) -> str:
        """A target group as people know it."""
        for colour, ours in self.network["target_groups"].items():
            if ours["arn"] == group:
                return str(colour)
        return group.split("/")[-2] if group.count("/") > 1 else "nothing"

    @property
    def desired(self) -> int:
        return int((self.service or {}).get("desiredCount", 0))

    @property
    def release_runs(self) -> bool:
        """While one does, CodeDeploy moves listeners and task sets: they are its business."""
        return self.deployment is not None


def answers(site: Site) -> dict[str, Json | None]:
    """What each phase answered when it was last applied; None where it never was."""
    return {phase.name: phase.work.answer(site) for phase in phases.PHASES}


def is_deployed(site: Site) -> bool:
    """Whether there is anything that visitors could be served by; the site has been surveyed."""
    found = answers(site)
    return bool(found["network"] and found["ecs"])


def read(site: Site, patience: float = 0.0) -> Facts:
    """Looks at everything at once; ``patience`` are the seconds that the page is given. The site ``is_deployed``."""
    found = {name: answer or {} for name, answer in answers(site).items()}
    network, ecs, secret, pipeline = (found[name] for name in ("network", "ecs", "secret", "pipeline"))
    aws, here = site.aws, site.config.endpoint_is_loopback
    managed = {name: state.managed for name, state in site.states.items() if state}
    pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="look")
    with explained("looking at what runs"), _left(pool):
        url, own_name = network["url"], network["load_balancer_dns_name"]
        jobs: dict[str, Future[Any]] = {
            "page": pool.submit(pages.look, url, otherwise=own_name, here=here, patience=patience),
            "model": pool.submit(pages.look, f"{url}/readyz", otherwise=own_name, here=here),
            "drifts": pool.submit(drift.read, aws, managed),
            "listeners": pool.submit(_listeners, aws, network),
            "targets": pool.submit(_targets, aws, network),
            "service": pool.submit(_service, aws, ecs),
            "stopped": pool.submit(_stopped, aws, ecs),
            "deployment": pool.submit(_deployment, aws, ecs),
            "alarms": pool.submit(_alarms, aws, managed.get("ecs", [])),
            "stages": pool.submit(_stages, aws, pipeline),
        }
        seen = {name: job.result() for name, job in jobs.items()}
    listeners, rules = seen.pop("listeners")
    service, tasks, revision, image_there = seen.pop("service")
    return Facts(
        network,
        ecs,
        secret,
        pipeline,
        listeners=listeners,
        rules=rules,
        service=service,
        tasks=tasks,
        revision=revision,
        image_there=image_there,
        **(seen | {"drifts": tuple(seen["drifts"])}),
    )


@contextmanager
def _left(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Waits for the pool's work when all goes well; an error or Ctrl-C waits for none of it."""
    try:
        yield
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _unless_gone(call: Callable[..., Any], **asked: Any) -> dict[str, Any]:
    """AWS's answer; empty when what is asked about is not there."""
    from botocore.exceptions import ClientError

    try:
        return dict(call(**asked))
    except ClientError as error:
        if drift.is_absent(error):
            return {}
        raise


def _listeners(aws: Aws, network: Json) -> tuple[dict[str, Json | None], dict[str, list[Json]]]:
    client = aws.client("elbv2")
    listeners: dict[str, Json | None] = {}
    rules: dict[str, list[Json]] = {}
    for kind, arn in traffic.listeners(network).items():
        described = _unless_gone(client.describe_listeners, ListenerArns=[arn]).get("Listeners", [])
        listeners[kind] = described[0] if described else None
        known = _unless_gone(client.describe_rules, ListenerArn=arn).get("Rules", []) if described else []
        rules[kind] = [rule for rule in known if not rule["IsDefault"]]
    return listeners, rules


def _targets(aws: Aws, network: Json) -> dict[str, list[Json]]:
    client = aws.client("elbv2")
    return {
        colour: _unless_gone(client.describe_target_health, TargetGroupArn=group["arn"]).get(
            "TargetHealthDescriptions", []
        )
        for colour, group in network["target_groups"].items()
    }


def _service(aws: Aws, ecs: Json) -> tuple[Json | None, tuple[Json, ...], Json | None, bool]:
    """The service, its tasks, the task definition that it runs, and whether that one's image is in the registry."""
    client, cluster = aws.client("ecs"), ecs["cluster_name"]
    described = _unless_gone(client.describe_services, cluster=cluster, services=[ecs["service_name"]])
    service = next(iter(described.get("services", [])), None)
    if service is None or service["status"] == "INACTIVE":
        return service, (), None, True
    arns = _unless_gone(client.list_tasks, cluster=cluster, serviceName=ecs["service_name"]).get("taskArns", [])
    tasks = client.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"] if arns else []
    primary = next((task_set for task_set in service.get("taskSets", []) if task_set["status"] == "PRIMARY"), None)
    if primary is None:
        return service, tuple(tasks), None, True
    revision = client.describe_task_definition(taskDefinition=primary["taskDefinition"])["taskDefinition"]
    return service, tuple(tasks), revision, _image_there(aws, revision["containerDefinitions"][0]["image"])


def _image_there(aws: Aws, image: str) -> bool:
    repository, at, digest = image.partition("@")
    if not at:
        return True  # a tag of somebody else's registry: not ours to judge
    name = repository.partition("/")[2]
    return bool(
        _unless_gone(aws.client("ecr").describe_images, repositoryName=name, imageIds=[{"imageDigest": digest}])
    )


def _stopped(aws: Aws, ecs: Json) -> tuple[Json, ...]:
    client, cluster = aws.client("ecs"), ecs["cluster_name"]
    listed = _unless_gone(client.list_tasks, cluster=cluster, family=ecs["task_family"], desiredStatus="STOPPED")
    arns = listed.get("taskArns", [])
    tasks = client.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"] if arns else []
    return tuple(sorted(tasks, key=lambda task: str(task.get("stoppedAt", "")), reverse=True))


def _deployment(aws: Aws, ecs: Json) -> Json | None:
    from botocore.exceptions import ClientError

    try:
        running = history.deployments(aws, ecs, history.RUNNING)
    except ClientError as error:
        if drift.is_absent(error):
            return None
        raise
    if not running:
        return None
    info: Json = aws.client("codedeploy").get_deployment(deploymentId=running[0])["deploymentInfo"]
    return info


def _alarms(aws: Aws, managed: list[dict[str, Any]]) -> dict[str, str]:
    """The deployment's own alarms by their names: a prefix would have those of a neighbour."""
    names = [
        instance["attributes"]["alarm_name"]
        for resource in managed
        if resource["type"] == "aws_cloudwatch_metric_alarm"
        for instance in resource["instances"]
    ]
    if not names:
        return {}
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return {alarm["AlarmName"]: alarm["StateValue"] for alarm in sorted(alarms, key=lambda alarm: alarm["AlarmName"])}


def _stages(aws: Aws, pipeline: Json) -> tuple[Json, ...]:
    name = pipeline.get("pipeline_name", "")
    if not name:
        return ()
    return tuple(_unless_gone(aws.client("codepipeline").get_pipeline_state, name=name).get("stageStates", ()))
