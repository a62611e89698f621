"""Releases: begun, taken back and approved, through the pipeline and CodeDeploy's public APIs alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator import documents, phases
from orchestrator.errors import BadDocument, NotNow, ReleaseFailed
from orchestrator.history import RUNNING, Release, deployments, digest_of, recent
from orchestrator.site import Site
from orchestrator.tools import git, secret, source, traffic
from orchestrator.tools.aws import explained

# The event rule starts the pipeline within seconds of a push.
PATIENCE = 60.0


@dataclass(frozen=True)
class Target:
    """What a release works on: the answers of the phases that made it."""

    network: Mapping[str, Any]
    ecs: Mapping[str, Any]
    pipeline: Mapping[str, Any]


def preflight(site: Site, target: Target, *, despite_alarms: bool = False) -> None:
    """Refuses a release that could not end well: one is running, the listener is elsewhere, the source is cut off."""
    with explained("looking before the release"):
        running = deployments(site.aws, target.ecs, RUNNING)
        if running:
            raise NotNow(
                f"deployment {running[0]} is still running",
                f"follow it: {site.config.command('release --follow')}, or end it: {site.config.command('stop')}",
            )
        _listener_is_primary(site, target)
        source.check_connection(site.aws, target.pipeline)
        if not despite_alarms and (active := active_alarms(site, target)):
            raise NotNow(
                f"alarm {active[0]} is on: CodeDeploy would stop the release at once",
                f"wait until it is off: {site.config.command('status')}; or go back: {site.config.command('rollback')}",
            )


def _listener_is_primary(site: Site, target: Target) -> None:
    """CodeDeploy begins at the primary task set; a listener that stands elsewhere was moved by hand."""
    ecs = target.ecs
    found = site.aws.client("ecs").describe_services(cluster=ecs["cluster_name"], services=[ecs["service_name"]])
    primary = next((each for each in found["services"][0].get("taskSets", []) if each["status"] == "PRIMARY"), None)
    if primary is None:
        raise NotNow("the service has no primary task set", f"bring it back: {site.config.command('repair')}")
    expected = {balancer["targetGroupArn"] for balancer in primary.get("loadBalancers", [])}
    listener = target.network["production_listener_arn"]
    live = traffic.live(site.aws.client("elbv2").describe_listeners(ListenerArns=[listener])["Listeners"][0])
    if live != expected:
        names = ", ".join(arn.split("/")[-2] for arn in sorted(live)) or "nothing"
        raise NotNow(
            f"the production listener forwards to {names}, not to the primary task set's target group",
            f"bring it back, then release: {site.config.command('repair')}",
        )


def active_alarms(site: Site, target: Target) -> list[str]:
    """Which of the deployment group's alarms are on."""
    group = site.aws.client("codedeploy").get_deployment_group(
        applicationName=target.ecs["application_name"], deploymentGroupName=target.ecs["deployment_group_name"]
    )["deploymentGroupInfo"]
    configured = group.get("alarmConfiguration", {})
    names = [alarm["name"] for alarm in configured.get("alarms", [])]
    if not configured.get("enabled") or not names:
        return []
    alarms = site.aws.client("cloudwatch").describe_alarms(AlarmNames=names, StateValue="ALARM")
    return [alarm["AlarmName"] for alarm in alarms["MetricAlarms"]]


def begin(site: Site, target: Target) -> str:
    """Releases what is committed; the pipeline's execution. One that was pushed before is followed while it runs, and
    begun again where it did not come to its end, or where tasks would get a token that was set since."""
    commit = git.head(site.config.root)
    if not commit:
        raise NotNow("there is no commit to release", "git init, git add, git commit; then release again")
    for file in git.changed(site.config.root)[:5]:
        site.say(f"not committed, so not released: {file}")
    if source.head(site.aws, site.config.root, target.pipeline) != commit:
        return execution_of(site, target, push(site, target, commit))
    found = _newest_of(site, target, commit)
    if found and found["status"] == "InProgress":
        site.say(f"{commit[:8]} is on its way already: follows it")
        return str(found["pipelineExecutionId"])
    if found and found["status"] == "Succeeded":
        if not _has_newer_token(site, found["startTime"]):
            raise NotNow(
                f"{commit[:8]} is released already",
                f"commit something first, or start it anew: {site.config.command('release --again')}",
            )
        site.say(f"{commit[:8]} is released already; a token was set since: releases it with that")
    else:
        ended = found["status"] if found else "unseen"
        site.say(f"{commit[:8]} was pushed before, and its release ended {ended}: begins again")
    return again(site, target)


def _newest_of(site: Site, target: Target, commit: str, among: int | None = None) -> Mapping[str, Any] | None:
    """The execution that released this commit last, of the newest ``among``, or of all that the pipeline remembers."""
    pages = site.aws.client("codepipeline").get_paginator("list_pipeline_executions")
    limit = {"PaginationConfig": {"MaxItems": among, "PageSize": among}} if among else {}
    with explained("codepipeline:ListPipelineExecutions"):
        for page in pages.paginate(pipelineName=target.pipeline["pipeline_name"], **limit):
            for execution in page["pipelineExecutionSummaries"]:
                if any(each.get("revisionId") == commit for each in execution.get("sourceRevisions", [])):
                    return dict(execution)
    return None


def _has_newer_token(site: Site, began: datetime) -> bool:
    name = phases.secret_name(site)
    since = secret.status(site.aws, name).since if name else ""
    return bool(since) and datetime.fromisoformat(since) > began


def push(site: Site, target: Target, commit: str) -> str:
    """Pushes what is committed; the commit. The pipeline begins by itself."""
    root, branch = site.config.root, target.pipeline["branch"]
    refused = source.push(site.aws, root, target.pipeline)
    if refused:
        raise ReleaseFailed(f"git push was refused:\n  {refused}", "git pull what others released, then release again")
    site.say(f"pushed {commit[:8]} to {branch}")
    return commit


def execution_of(site: Site, target: Target, commit: str) -> str:
    """The pipeline execution that the push of ``commit`` began; started by us when no event did within a minute."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := _newest_of(site, target, commit, among=10):
            return str(found["pipelineExecutionId"])
        time.sleep(1)
    site.say("no event started the pipeline; starts it by hand")
    return again(site, target)


def again(site: Site, target: Target, rebuild: str = "", commit: str = "") -> str:
    """Releases the branch's head, or ``commit``, once more; ``rebuild``: with an image that is built anew, under this
    name."""
    options: dict[str, Any] = {"variables": [{"name": "REBUILD", "value": rebuild}]} if rebuild else {}
    if commit:
        options["sourceRevisions"] = [{"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": commit}]
    with explained("codepipeline:StartPipelineExecution"):
        name = target.pipeline["pipeline_name"]
        begun = site.aws.client("codepipeline").start_pipeline_execution(name=name, **options)
    return str(begun["pipelineExecutionId"])


def latest_execution(site: Site, target: Target) -> str:
    with explained("codepipeline:ListPipelineExecutions"):
        name = target.pipeline["pipeline_name"]
        listed = site.aws.client("codepipeline").list_pipeline_executions(pipelineName=name, maxResults=1)
    if not listed["pipelineExecutionSummaries"]:
        raise NotNow("nothing was ever released", f"begin: {site.config.command('release')}")
    return str(listed["pipelineExecutionSummaries"][0]["pipelineExecutionId"])


def deploy_image(site: Site, target: Target, uri: str) -> str:
    """Releases an image past the pipeline, by a revision of taskdef.json with it; the deployment's id."""
    if "@sha256:" not in uri:
        raise BadDocument(f"{uri} names no digest", "give REPOSITORY@sha256:…; a tag could mean another image tomorrow")
    text = (site.config.root / "taskdef.json").read_text(encoding="utf-8")
    values = {**target.ecs["placeholders"], "IMAGE1_NAME": uri}
    definition = documents.json_of(documents.render(text, values, "taskdef.json"))
    with explained("ecs:RegisterTaskDefinition"):
        registered = site.aws.client("ecs").register_task_definition(**definition)["taskDefinition"]
    return deploy_revision(site, target, registered["taskDefinitionArn"], f"image {digest_of(uri)}")


def deploy_revision(site: Site, target: Target, task_definition: str, why: str, *, despite_alarms: bool = False) -> str:
    """A blue/green deployment of a registered task definition; the deployment's id."""
    text = (site.config.root / "appspec.yaml").read_text(encoding="utf-8")
    values = {**target.ecs["placeholders"], "TASK_DEFINITION": task_definition}
    appspec = documents.render(text, values, "appspec.yaml")
    with explained("codedeploy:CreateDeployment"):
        made = site.aws.client("codedeploy").create_deployment(
            applicationName=target.ecs["application_name"],
            deploymentGroupName=target.ecs["deployment_group_name"],
            revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": appspec}},
            description=why[:256],
            **({"overrideAlarmConfiguration": {"enabled": False, "alarms": []}} if despite_alarms else {}),
        )
    return str(made["deploymentId"])


def rollback(site: Site, target: Target, wanted: str = "") -> tuple[str, str]:
    """Deploys an earlier release again, unless named the one before the last good; the deployment, and what it is."""
    good = [release for release in recent(site.aws, target, 50) if release.result == "Succeeded"]
    if wanted:
        named = [each for each in good if _is(each, wanted)]
        if not named:
            raise NotNow(f"no good release is '{wanted}'", f"see: {site.config.command('history')}")
        return _again(site, target, named[0])
    earlier = [each for each in good if each.task_definition != good[0].task_definition]
    if earlier:
        return _again(site, target, earlier[0])
    # What Terraform deployed before the first release is in no history of CodeDeploy's; the phase's record has it.
    first = str(site.record("ecs").get("first", ""))
    if not first or not good or first == good[0].task_definition:
        raise NotNow("there is no earlier good release", f"see: {site.config.command('history')}")
    return _back(site, target, first, "the first deployment"), "the first deployment"


def _is(release: Release, wanted: str) -> bool:
    start = wanted.removeprefix("sha256:")
    named = len(start) >= 4 and (release.commit.startswith(start) or release.digest.startswith(start))
    return named or wanted == release.deployment


def _again(site: Site, target: Target, release: Release) -> tuple[str, str]:
    name = release.commit[:8] or release.digest or release.deployment
    return _back(site, target, release.task_definition, name), name


def _back(site: Site, target: Target, task_definition: str, name: str) -> str:
    """The alarm of what it replaces must not stop a rollback; one that comes up while all are off may."""
    with explained("looking at the alarms"):
        active = active_alarms(site, target)
    if active:
        site.say(f"goes back although alarm {active[0]} is on")
    return deploy_revision(site, target, task_definition, f"rollback to {name}", despite_alarms=bool(active))


def approve(site: Site, target: Target, *, reject: bool, summary: str) -> str:
    """Answers the approval that the pipeline waits for; its name."""
    client, name = site.aws.client("codepipeline"), target.pipeline["pipeline_name"]
    with explained("codepipeline:PutApprovalResult"):
        for stage in client.get_pipeline_state(name=name)["stageStates"]:
            for action in stage.get("actionStates", []):
                token = action.get("latestExecution", {}).get("token")
                if token and action["latestExecution"]["status"] == "InProgress":
                    client.put_approval_result(
                        pipelineName=name,
                        stageName=stage["stageName"],
                        actionName=action["actionName"],
                        token=token,
                        result={
                            "status": "Rejected" if reject else "Approved",
                            "summary": summary or "by the orchestrator",
                        },
                    )
                    return f"{stage['stageName']} / {action['actionName']}"
    raise NotNow("the pipeline waits for no approval", f"see: {site.config.command('release --follow')}")


def first(site: Site, target: Target) -> str:
    """Begins the first release of a new pipeline; its execution, empty when there is nothing to begin.

    Raises NotNow while the connection to GitHub waits to be accepted.
    """
    if not (commit := git.head(site.config.root)):
        return ""
    source.check_connection(site.aws, target.pipeline)
    if not source.head(site.aws, site.config.root, target.pipeline):
        site.say("first release: pushes what is committed through the pipeline")
        return execution_of(site, target, push(site, target, commit))
    if not source.is_on_github(target.pipeline):
        return ""
    # The repository was there before the pipeline: its creation released the branch, or found nobody had accepted yet.
    with explained("codepipeline:ListPipelineExecutions"):
        name = target.pipeline["pipeline_name"]
        listed = site.aws.client("codepipeline").list_pipeline_executions(pipelineName=name)
    for execution in listed["pipelineExecutionSummaries"]:
        if execution["status"] == "InProgress":
            return str(execution["pipelineExecutionId"])
        if execution.get("sourceRevisions"):
            return ""
    site.say("first release: runs the branch that is there through the pipeline")
    return again(site, target)
