"""Brings back what was changed by hand: Terraform applies what it owns, a call each brings back what it ignores.

Terraform does not see where CodeDeploy's listeners stand, how many tasks autoscaling wants or what a release runs
(``ignore_changes``), and would make a deleted service anew with the first image. ``MENDS`` is the table of those calls,
by the ``mend`` of a fault. All of them are public APIs, the same on AWS (docs/decisions/0053).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from orchestrator import facts as looking
from orchestrator import health, history, releases
from orchestrator.errors import NotNow, ServiceUnsteady
from orchestrator.facts import Facts, Json
from orchestrator.following import Follower
from orchestrator.health import Fault, Health
from orchestrator.phases import names
from orchestrator.releases import Target
from orchestrator.runner import Runner
from orchestrator.site import Outcome, Site
from orchestrator.tools import service, traffic
from orchestrator.tools.aws import explained
from orchestrator.tools.terraform_events import silent

ROUNDS = 4
PATIENCE = 5.0  # seconds that the page is given once everything is mended
DRAINS = 600.0  # seconds until the last task of a deleted service has gone
PAUSE = 1.0
# A release, which needs all the rest: last, and followed to the moment when it serves everyone.
RELEASES = ("image", "revision")
# They need a load balancer with both target groups.
BEHIND_THE_NETWORK = ("service", "listener", "targets", *RELEASES)


Board = Callable[[], AbstractContextManager[None]]


@dataclass
class Repaired:
    """What was done, in sentences and outcomes, and how things are now."""

    health: Health
    done: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


def repair(runner: Runner, board: Board, *, everything: bool, yes: bool = False) -> Repaired:
    """Mends what ``health.look`` finds, in rounds: one repair may make the next possible, or needed.

    ``board`` shows phases while they are applied, and takes Ctrl-C for them; everything else ends by itself.
    ``everything``: when nothing is wrong in sight, Terraform compares every stack, attribute by attribute.
    """
    with runner.repairing(yes=yes):
        seen = health.look(runner.site)
        repaired = Repaired(seen)
        if not seen.mendable and everything:
            runner.site.say("nothing to mend is in sight: Terraform compares every stack")
            with board():
                repaired.outcomes += runner.bring_back(name for name in names() if name != "image")
            repaired.health = health.look(runner.site)
        for _ in range(ROUNDS):
            if not repaired.health.mendable:
                break
            _round(runner, board, repaired)
        _settle(runner, repaired)
    return repaired


def require_whole(runner: Runner) -> None:
    """Refuses where a deploy has not come to its end: what it did not make yet was not changed by hand."""
    site, command = runner.site, runner.config.command
    halfway = [
        name for name in names() if site.record(name).get("status") == "applying" or site.record(name).get("cut")
    ]
    if halfway or not looking.is_deployed(site):
        raise NotNow(
            f"the deploy has not come to its end: phase {', '.join(halfway) or 'network or ecs'}",
            f"run: {command('deploy')}",
        )


def by_hand(runner: Runner) -> tuple[Fault, ...]:
    """What was changed by hand of a whole deployment; nothing where it has not come to its end."""
    runner.survey(create=False)
    try:
        require_whole(runner)
    except NotNow:
        return ()
    return health.look(runner.site).mendable


def not_to_compare(faults: Iterable[Fault]) -> dict[str, str]:
    """The provider waits two minutes for a service that is gone before it believes it; this is known already."""
    gone = [fault for fault in faults if fault.mend == "service"]
    return {"ecs": f"not compared: {gone[0].text}"} if gone else {}


def before_a_deploy(runner: Runner, board: Board, *, yes: bool) -> list[str]:
    """Mends what is wrong of a whole deployment, so that a deploy that skips every phase does not skip that; what was
    done, in sentences."""
    return repair(runner, board, everything=False, yes=yes).done if by_hand(runner) else []


def after_a_deploy(runner: Runner, board: Board, *, yes: bool) -> Health:
    """The look at the page that ends every deploy. What the deploy made anew may need the listeners moved to it."""
    runner.survey(create=False)
    seen = health.look(runner.site, patience=PATIENCE)
    if seen.up or not seen.mendable:
        return seen
    return repair(runner, board, everything=False, yes=yes).health


def _round(runner: Runner, board: Board, repaired: Repaired) -> None:
    """Calls first, they take no time; then Terraform for what is left; a release of its own when all else is well."""
    site, seen = runner.site, repaired.health
    broken = {fault.phase for fault in seen.mendable if fault.serving} & {"network"}
    for fault in seen.mendable:
        if fault.mend and fault.mend not in RELEASES and not (broken and fault.mend in BEHIND_THE_NETWORK):
            _mend(site, seen.facts, fault, repaired)
    seen = repaired.health = health.look(site)
    concerned = broken or {fault.phase for fault in seen.mendable if fault.phase}
    if concerned:
        for fault in seen.mendable:
            if fault.phase in concerned:
                site.say(f"{fault.phase}: {fault.text}")
                repaired.done.append(f"{fault.text}: phase {fault.phase}")
        with board():
            repaired.outcomes += runner.bring_back(concerned)
    else:
        for fault in seen.mendable:
            if fault.mend in RELEASES:
                _mend(site, seen.facts, fault, repaired)
                break
    repaired.health = health.look(site)


def _mend(site: Site, facts: Facts, fault: Fault, repaired: Repaired) -> None:
    site.say(fault.text)
    with explained(f"mending: {fault.name}"):
        done = MENDS[fault.mend](site, facts, fault)
    site.say(f"  {done}")
    repaired.done.append(f"{fault.text}: {done}")


def _settle(runner: Runner, repaired: Repaired) -> None:
    """Waits until what was brought back serves."""
    facts = repaired.health.facts
    if (repaired.done or repaired.outcomes) and facts.home and facts.desired and not facts.release_runs:
        try:
            service.wait(runner.site.aws, facts.ecs, facts.network, silent, runner.site.cancel)
        except ServiceUnsteady as error:
            runner.site.say(str(error))  # the look at the page is the verdict
    repaired.health = health.look(runner.site, patience=PATIENCE)


# The calls


def _listener(site: Site, facts: Facts, fault: Fault) -> str:
    """Points a listener to the primary task set's target group, as CodeDeploy would leave it."""
    other = next(group["arn"] for group in facts.network["target_groups"].values() if group["arn"] != facts.home)
    sticky = facts.network["listener_stickiness_duration"] if fault.subject == "production" else 0
    groups: list[dict[str, Any]] = [{"TargetGroupArn": facts.home, "Weight": 100}]
    forward: dict[str, Any] = {"TargetGroups": groups}
    if sticky:
        groups.append({"TargetGroupArn": other, "Weight": 0})
        forward["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": sticky}
    site.aws.client("elbv2").modify_listener(
        ListenerArn=traffic.listeners(facts.network)[fault.subject],
        DefaultActions=[{"Type": "forward", "ForwardConfig": forward}],
    )
    return f"the {fault.subject} listener forwards to {facts.colour(facts.home)} again"


def _rule(site: Site, facts: Facts, fault: Fault) -> str:
    site.aws.client("elbv2").delete_rule(RuleArn=fault.subject["RuleArn"])
    return f"removed the rule (priority {fault.subject.get('Priority')})"


def _count(site: Site, facts: Facts, fault: Fault) -> str:
    wanted = _wanted(site)
    site.aws.client("ecs").update_service(
        cluster=facts.ecs["cluster_name"], service=facts.ecs["service_name"], desiredCount=wanted
    )
    return f"{wanted} tasks are wanted again"


def _wanted(site: Site) -> int:
    return max(int(site.config.get("ecs", "desired_count")), int(site.config.get("ecs", "min_capacity")))


def _targets(site: Site, facts: Facts, fault: Fault) -> str:
    port = int(facts.ecs["container_port"])
    site.aws.client("elbv2").register_targets(
        TargetGroupArn=facts.home, Targets=[{"Id": address, "Port": port} for address in fault.subject]
    )
    return f"registered {', '.join(fault.subject)} again"


def _strangers(site: Site, facts: Facts, fault: Fault) -> str:
    site.aws.client("elbv2").deregister_targets(TargetGroupArn=facts.home, Targets=fault.subject)
    return "deregistered"


def _key(site: Site, facts: Facts, fault: Fault) -> str:
    """Another key could not read what this one has written."""
    client, key = site.aws.client("kms"), fault.subject.attributes["key_id"]
    if client.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion":
        client.cancel_key_deletion(KeyId=key)
    client.enable_key(KeyId=key)
    return "enabled the key"


def _secret(site: Site, facts: Facts, fault: Fault) -> str:
    site.aws.client("secretsmanager").restore_secret(SecretId=fault.subject.attributes["arn"])
    return "restored, with the token in it"


def _autoscaling(site: Site, facts: Facts, fault: Fault) -> str:
    before = fault.subject.attributes
    site.aws.client("application-autoscaling").register_scalable_target(
        ServiceNamespace=before["service_namespace"],
        ResourceId=before["resource_id"],
        ScalableDimension=before["scalable_dimension"],
        MinCapacity=before["min_capacity"],
        MaxCapacity=before["max_capacity"],
        SuspendedState={
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": False,
        },
    )
    return f"scales between {before['min_capacity']} and {before['max_capacity']} again"


def _transition(site: Site, facts: Facts, fault: Fault) -> str:
    site.aws.client("codepipeline").enable_stage_transition(
        pipelineName=facts.pipeline["pipeline_name"], stageName=fault.subject, transitionType="Inbound"
    )
    return "switched on again"


def _cluster(site: Site, facts: Facts, fault: Fault) -> str:
    """Of the same name, so of the same ARN: Terraform takes it for the one that it made, and mends its settings."""
    before = fault.subject.attributes
    site.aws.client("ecs").create_cluster(
        clusterName=before["name"], capacityProviders=["FARGATE", "FARGATE_SPOT"], tags=_tags(before)
    )
    return f"made cluster {before['name']} again"


def _service(site: Site, facts: Facts, fault: Fault) -> str:
    """Makes the service anew with what was released last, behind the colour that production forwards to.

    Terraform would make it with the first image, behind blue. Of the same name it has the same ARN, so Terraform takes
    it for the one that it made.
    """
    before = _attributes(site, "aws_ecs_service")
    _gone(site, facts)
    balancer = _first(before["load_balancer"])
    network = _first(before["network_configuration"])
    revision = _usable(site, facts, _last_revision(site, facts))
    group = _home_of_production(facts)
    options: dict[str, Any] = {}
    if before.get("capacity_provider_strategy"):
        options["capacityProviderStrategy"] = [
            {
                "capacityProvider": strategy["capacity_provider"],
                "weight": strategy["weight"] or 0,
                "base": strategy["base"] or 0,
            }
            for strategy in before["capacity_provider_strategy"]
        ]
    elif before.get("launch_type"):
        options["launchType"] = before["launch_type"]
    made = site.aws.client("ecs").create_service(
        cluster=facts.ecs["cluster_name"],
        serviceName=facts.ecs["service_name"],
        taskDefinition=revision,
        desiredCount=_wanted(site),
        deploymentController={"type": "CODE_DEPLOY"},
        schedulingStrategy="REPLICA",
        loadBalancers=[
            {
                "targetGroupArn": group,
                "containerName": balancer["container_name"],
                "containerPort": balancer["container_port"],
            }
        ],
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": network["subnets"],
                "securityGroups": network["security_groups"],
                "assignPublicIp": "ENABLED" if network["assign_public_ip"] else "DISABLED",
            }
        },
        healthCheckGracePeriodSeconds=before["health_check_grace_period_seconds"] or 0,
        tags=_tags(before),
        **options,
    )["service"]
    _until(site, lambda: bool(service.live_revision(site.aws, facts.ecs)), 60, "the service to have its first task set")
    return f"made the service again on {facts.colour(group)}, with {made['taskDefinition'].rpartition('/')[2]}"


def _gone(site: Site, facts: Facts) -> None:
    """Deletes what is left of the service, and waits until its name is free: AWS refuses another while it drains."""
    client = site.aws.client("ecs")
    where = {"cluster": facts.ecs["cluster_name"], "service": facts.ecs["service_name"]}

    def status() -> str:
        services = client.describe_services(cluster=where["cluster"], services=[where["service"]])["services"]
        return str(services[0]["status"]) if services else "INACTIVE"

    if status() == "ACTIVE":
        client.delete_service(**where, force=True)
    if status() != "INACTIVE":
        site.say("  waits for the last task of the deleted service to go")
    _until(site, lambda: status() == "INACTIVE", DRAINS, "the deleted service to be gone")


def _until(site: Site, condition: Callable[[], bool], patience: float, what: str) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise NotNow(f"waited {patience:.0f} s for {what}", "run it again")
        site.cancel.wait(PAUSE, f"stopped waiting for {what}", f"go on with: {site.config.command('repair')}")


def _home_of_production(facts: Facts) -> str:
    """The colour that the production listener sends visitors to; blue when it sends them nowhere of ours."""
    groups = {group["arn"] for group in facts.network["target_groups"].values()}
    live = [group for group, weight in traffic.weights(facts.listeners.get("production")).items() if weight]
    ours = [group for group in live if group in groups]
    return ours[0] if ours else facts.network["target_groups"]["blue"]["arn"]


def _last_revision(site: Site, facts: Facts) -> str:
    """What was released last and went well; before any release, what Terraform deployed."""
    try:
        released = history.last_good(site.aws, facts.ecs)
    except site.aws.client("codedeploy").exceptions.ClientError:  # the application is gone too, and its history
        released = ""
    return (
        released or str(site.record("ecs").get("first", "")) or str(_attributes(site, "aws_ecs_task_definition")["arn"])
    )


def _usable(site: Site, facts: Facts, revision: str) -> str:
    """``revision``, or a copy when it was deregistered: AWS makes no service of an inactive one."""
    task_definition = site.aws.client("ecs").describe_task_definition(taskDefinition=revision)["taskDefinition"]
    return revision if task_definition["status"] == "ACTIVE" else _copy(site, facts.secret, task_definition)


def _copy(site: Site, ours: Json, definition: Json) -> str:
    """Registers a task definition again; the new one's ARN. A secret of the deployment's goes by its present ARN."""
    client = site.aws.client("ecs")
    takes = client.meta.service_model.operation_model("RegisterTaskDefinition").input_shape
    values = {key: value for key, value in definition.items() if takes and key in takes.members}
    for container in values["containerDefinitions"]:
        for secret in container.get("secrets", []):
            if f":secret:{ours['name']}-" in secret["valueFrom"]:
                secret["valueFrom"] = ours["arn"]
    return str(client.register_task_definition(**values)["taskDefinition"]["taskDefinitionArn"])


def _target(facts: Facts) -> Target:
    return Target(facts.network, facts.ecs, facts.pipeline)


def _revision(site: Site, facts: Facts, fault: Fault) -> str:
    """Releases a copy of the live task definition, blue/green like any other release."""
    assert facts.revision is not None
    copy = _copy(site, facts.secret, facts.revision)
    target = _target(facts)
    _release(site, target, releases.deploy_revision(site, target, copy, "repair", despite_alarms=True))
    return f"released a copy of it, {copy.rpartition('/')[2]}"


def _image(site: Site, facts: Facts, fault: Fault) -> str:
    """Builds the live commit again, through the pipeline, which releases what comes of it."""
    target = _target(facts)
    if not facts.pipeline:
        raise NotNow("the image that runs is gone, and there is no pipeline to build it again", "deploy first")
    commit = history.commit_of(site.aws, facts.pipeline, str((facts.primary or {}).get("externalId", "")))
    execution = releases.again(site, target, commit=commit)
    Follower(site, target).execution(execution)
    return f"built {commit[:8] or 'the head of the branch'} again and released it"


def _release(site: Site, target: Target, deployment: str) -> None:
    Follower(site, target).deployment(deployment)


def _attributes(site: Site, resource_type: str) -> dict[str, Any]:
    """The only resource of a type, as the state of stack ``ecs`` has it."""
    state = site.states.get("ecs")
    for resource in state.managed if state else []:
        if resource["type"] == resource_type and resource["instances"]:
            return dict(resource["instances"][0]["attributes"])
    raise NotNow(f"the state of stack 'ecs' has no {resource_type}", f"run: {site.config.command('deploy --refresh')}")


def _first(block: Any) -> dict[str, Any]:
    return dict(block[0]) if block else {}


def _tags(before: Json) -> list[dict[str, str]]:
    return [{"key": name, "value": text} for name, text in (before.get("tags_all") or {}).items()]


MENDS: dict[str, Callable[[Site, Facts, Fault], str]] = {
    "autoscaling": _autoscaling,
    "cluster": _cluster,
    "count": _count,
    "image": _image,
    "key": _key,
    "listener": _listener,
    "revision": _revision,
    "rule": _rule,
    "secret": _secret,
    "service": _service,
    "strangers": _strangers,
    "targets": _targets,
    "transition": _transition,
}
