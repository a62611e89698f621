"""Twenty things and more that somebody changes behind the tool's back, in the console or with the AWS CLI.

Each is told by `status`, explained by `plan`, and mended by one command. The table that `-k by_hand` prints is what was
seen: thing, what a visitor sees, what status says, what plan says, what mends it, and how long that took.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.machine import Machine
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="by_hand")]
WHERE = {"cluster": "chatbot", "service": "chatbot"}
HEAD = ("thing", "visitor sees", "status says", "plan says", "mended by", "seconds")


class Hand:
    """Somebody with a console: clients, and the names that things have there."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.outputs: dict[str, Any] = json.loads(machine.orchestrate("outputs", "--json").stdout)

    def __call__(self, service: str) -> Any:
        return self.machine.client(service)

    @property
    def network(self) -> dict[str, Any]:
        """Anew each time: a repair may have made another."""
        found: dict[str, Any] = json.loads(self.machine.orchestrate("outputs", "--json").stdout)["network"]
        return found

    def primary(self) -> dict[str, Any]:
        service = self("ecs").describe_services(cluster="chatbot", services=["chatbot"])["services"][0]
        return next(dict(each) for each in service["taskSets"] if each["status"] == "PRIMARY")

    def home(self) -> str:
        return str(self.primary()["loadBalancers"][0]["targetGroupArn"])

    def away(self) -> str:
        """The target group where nothing runs."""
        groups = [group["arn"] for group in self.outputs["network"]["target_groups"].values()]
        return next(str(group) for group in groups if group != self.home())


def _listener_moved(hand: Hand) -> None:
    action = {"Type": "forward", "TargetGroupArn": hand.away()}
    hand("elbv2").modify_listener(ListenerArn=hand.network["production_listener_arn"], DefaultActions=[action])


def _listener_closed(hand: Hand) -> None:
    fixed = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "maintenance"}
    action = {"Type": "fixed-response", "FixedResponseConfig": fixed}
    hand("elbv2").modify_listener(ListenerArn=hand.network["production_listener_arn"], DefaultActions=[action])


def _test_listener_moved(hand: Hand) -> None:
    action = {"Type": "forward", "TargetGroupArn": hand.away()}
    hand("elbv2").modify_listener(ListenerArn=hand.network["test_listener_arn"], DefaultActions=[action])


def _rule_added(hand: Hand) -> None:
    fixed = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "maintenance"}
    hand("elbv2").create_rule(
        ListenerArn=hand.network["production_listener_arn"], Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    )  # fmt: skip


def _listener_deleted(hand: Hand) -> None:
    hand("elbv2").delete_listener(ListenerArn=hand.network["production_listener_arn"])


def _health_check_changed(hand: Hand) -> None:
    hand("elbv2").modify_target_group(TargetGroupArn=hand.away(), HealthCheckPath="/nowhere")


def _idle_group_deleted(hand: Hand) -> None:
    """The listener names it with a weight of 0: AWS lets a group go only when none does."""
    network, away = hand.network, hand.away()
    for kind in ("production", "test"):
        action = {"Type": "forward", "TargetGroupArn": hand.home()}
        hand("elbv2").modify_listener(ListenerArn=network[f"{kind}_listener_arn"], DefaultActions=[action])
    hand("elbv2").delete_target_group(TargetGroupArn=away)


def _rule_of_the_security_group_removed(hand: Hand) -> None:
    group = hand.network["security_group_id"]
    rules = hand("ec2").describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    rule = next(each for each in rules["SecurityGroupRules"] if each.get("FromPort") == hand.machine.production_port)
    hand("ec2").revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])


def _count_zero(hand: Hand) -> None:
    hand("ecs").update_service(**WHERE, desiredCount=0)
    eventually(lambda: not hand("ecs").list_tasks(cluster="chatbot")["taskArns"], 90, "the last task gone")


def _service_deleted(hand: Hand) -> None:
    hand("ecs").delete_service(**WHERE, force=True)


def _targets_deregistered(hand: Hand) -> None:
    home = hand.home()
    health = hand("elbv2").describe_target_health(TargetGroupArn=home)["TargetHealthDescriptions"]
    hand("elbv2").deregister_targets(TargetGroupArn=home, Targets=[each["Target"] for each in health])


def _definition_deregistered(hand: Hand) -> None:
    hand("ecs").deregister_task_definition(taskDefinition=hand.primary()["taskDefinition"])


def _image_deleted(hand: Hand) -> None:
    definition = hand("ecs").describe_task_definition(taskDefinition=hand.primary()["taskDefinition"])
    digest = definition["taskDefinition"]["containerDefinitions"][0]["image"].partition("@")[2]
    hand("ecr").batch_delete_image(repositoryName="chatbot", imageIds=[{"imageDigest": digest}])


def _role_policy_removed(hand: Hand) -> None:
    hand("iam").delete_role_policy(RoleName="chatbot-execution-us-east-1", PolicyName="execution")


def _role_trust_changed(hand: Hand) -> None:
    nobody = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}  # fmt: skip
    hand("iam").update_assume_role_policy(RoleName="chatbot-pipeline-us-east-1", PolicyDocument=json.dumps(nobody))


def _secret_scheduled(hand: Hand) -> None:
    hand("secretsmanager").delete_secret(SecretId="chatbot/hf-token", RecoveryWindowInDays=7)


def _alarm_deleted(hand: Hand) -> None:
    hand("cloudwatch").delete_alarms(AlarmNames=["chatbot-blue-5xx"])


def _alarm_silenced(hand: Hand) -> None:
    hand("cloudwatch").disable_alarm_actions(AlarmNames=["chatbot-green-unhealthy"])


def _autoscaling_suspended(hand: Hand) -> None:
    suspended = {"DynamicScalingOutSuspended": True, "DynamicScalingInSuspended": True}
    hand("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs", ResourceId="service/chatbot/chatbot", ScalableDimension="ecs:service:DesiredCount",
        SuspendedState=suspended,
    )  # fmt: skip


def _pipeline_deleted(hand: Hand) -> None:
    hand("codepipeline").delete_pipeline(name="chatbot")


def _transition_disabled(hand: Hand) -> None:
    hand("codepipeline").disable_stage_transition(
        pipelineName="chatbot", stageName="Deploy", transitionType="Inbound", reason="not on a Friday"
    )


def _event_rule_disabled(hand: Hand) -> None:
    hand("events").disable_rule(Name="chatbot-push")


def _application_deleted(hand: Hand) -> None:
    hand("codedeploy").delete_application(applicationName="chatbot")


def _group_forgets_alarms(hand: Hand) -> None:
    hand("codedeploy").update_deployment_group(
        applicationName="chatbot",
        currentDeploymentGroupName="chatbot",
        alarmConfiguration={"enabled": False, "alarms": []},
    )


def _log_group_deleted(hand: Hand) -> None:
    hand("logs").delete_log_group(logGroupName="/ecs/chatbot")


def _key_disabled(hand: Hand) -> None:
    key = hand("kms").describe_key(KeyId="alias/chatbot-artifacts")["KeyMetadata"]["KeyId"]
    hand("kms").disable_key(KeyId=key)


def _bucket_opened(hand: Hand) -> None:
    hand("s3").delete_public_access_block(Bucket=hand.outputs["artifacts"]["bucket"])


def _task_stopped(hand: Hand) -> None:
    """ECS starts another by itself: there is nothing to mend, and nothing to see once it serves."""
    task = hand("ecs").list_tasks(cluster="chatbot")["taskArns"][0]
    hand("ecs").stop_task(cluster="chatbot", task=task)


def _route_deleted(hand: Hand) -> None:
    tables = hand("ec2").describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [hand.network["vpc_id"]]}])
    table = next(
        table["RouteTableId"]
        for table in tables["RouteTables"]
        if any(route.get("GatewayId", "").startswith("igw-") for route in table["Routes"])
    )
    hand("ec2").delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")


def _tags_removed(hand: Hand) -> None:
    """Neither visitors nor releases feel it: Terraform alone sees it."""
    arn = hand.network["load_balancer_arn"]
    hand("elbv2").remove_tags(ResourceArns=[arn], TagKeys=["Application", "Environment"])


def _hook_deleted(hand: Hand) -> None:
    hand("lambda").delete_function(FunctionName="chatbot-hook")


@dataclass(frozen=True)
class Change:
    """`down`: visitors are not served. `told` and `planned`: patterns of what status and plan say, empty where they say
    nothing; `phases`: the stacks that plan is asked about (what is seen by hand comes before any); `verb`: what mends
    it, empty where AWS does by itself."""

    thing: str
    by: Callable[[Hand], None]
    told: str
    planned: str
    phases: tuple[str, ...] = ("artifacts",)
    down: bool = False
    verb: str = "repair"


CHANGES = (
    Change(
        "production listener moved",
        _listener_moved,
        "production listener forwards to",
        "production listener forwards to",
        ("artifacts",),
        down=True,
        verb="deploy",
    ),
    Change(
        "production listener closed",
        _listener_closed,
        r"does not forward \(fixed-response\)",
        "fixed-response",
        ("artifacts",),
        down=True,
    ),
    Change("test listener moved", _test_listener_moved, "test listener forwards to", "test listener", ("artifacts",)),
    Change(
        "listener rule added",
        _rule_added,
        "a rule that nobody's file knows",
        "a rule that nobody's file knows",
        ("artifacts",),
        down=True,
    ),
    Change(
        "listener deleted",
        _listener_deleted,
        "listener on port .* is gone",
        r"aws_lb_listener\.production",
        ("network",),
        down=True,
    ),
    Change(
        "health check changed",
        _health_check_changed,
        "health_check.path is /nowhere, was /healthz",
        r"aws_lb_target_group\.this",
        ("network",),
    ),
    Change(
        "idle target group deleted",
        _idle_group_deleted,
        "target group .* is gone",
        r"aws_lb_target_group\.this",
        ("network",),
    ),
    Change(
        "security group rule removed",
        _rule_of_the_security_group_removed,
        "security group rule .* is gone",
        r"ingress_rule\.public",
        ("network",),
        down=True,
    ),
    Change(
        "service set to 0 tasks", _count_zero, "set to run 0 tasks", "set to run 0 tasks", ("artifacts",), down=True
    ),
    Change(
        "service deleted",
        _service_deleted,
        r"service chatbot is (gone|deleted)",
        "service chatbot is",
        ("ecs",),
        down=True,
        verb="deploy",
    ),
    Change(
        "every target deregistered",
        _targets_deregistered,
        "running tasks are no targets",
        "no targets",
        ("artifacts",),
        down=True,
    ),
    Change("live task definition deregistered", _definition_deregistered, "is INACTIVE", "is INACTIVE", ("artifacts",)),
    Change(
        "live image deleted",
        _image_deleted,
        "image .* is gone from the repository",
        "is gone from the repository",
        ("image",),
    ),
    Change(
        "role's policy removed",
        _role_policy_removed,
        "policy execution of role chatbot-execution-us-east-1 is gone",
        r"aws_iam_role_policy\.execution",
        ("ecs",),
    ),
    Change(
        "role's trust changed",
        _role_trust_changed,
        "role chatbot-pipeline-us-east-1 assume_role_policy is",
        r"aws_iam_role\.pipeline",
        ("pipeline",),
    ),
    Change(
        "secret to be deleted",
        _secret_scheduled,
        "secret chatbot/hf-token deletion is scheduled",
        "deletion is scheduled",
        ("artifacts",),
    ),
    Change(
        "alarm deleted",
        _alarm_deleted,
        "alarm chatbot-blue-5xx is gone",
        r"aws_cloudwatch_metric_alarm\.errors",
        ("ecs",),
        verb="deploy",
    ),
    Change(
        "alarm silenced",
        _alarm_silenced,
        "actions_enabled is false",
        r"aws_cloudwatch_metric_alarm\.unhealthy",
        ("ecs",),
    ),
    Change("autoscaling suspended", _autoscaling_suspended, "suspended_state is", "suspended_state is", ("artifacts",)),
    Change("pipeline deleted", _pipeline_deleted, "pipeline chatbot is gone", r"aws_codepipeline\.this", ("pipeline",)),
    Change(
        "pipeline stage switched off",
        _transition_disabled,
        "does not go on to stage Deploy.*not on a Friday",
        "stage Deploy",
        ("artifacts",),
    ),
    Change(
        "event rule disabled",
        _event_rule_disabled,
        "event rule chatbot-push state is DISABLED",
        r"aws_cloudwatch_event_rule\.push",
        ("pipeline",),
    ),
    Change(
        "CodeDeploy application deleted",
        _application_deleted,
        "CodeDeploy application chatbot is gone",
        r"aws_codedeploy_app\.this",
        ("ecs",),
    ),
    Change(
        "deployment group without alarms",
        _group_forgets_alarms,
        "alarm_configuration.enabled is false",
        "aws_codedeploy_deployment_group",
        ("ecs",),
    ),
    Change(
        "log group deleted",
        _log_group_deleted,
        "log group /ecs/chatbot is gone",
        r"aws_cloudwatch_log_group\.this",
        ("ecs",),
    ),
    Change("key disabled", _key_disabled, "state is Disabled", "state is Disabled", ("artifacts",)),
    Change(
        "bucket opened to the public",
        _bucket_opened,
        "public access block .* is gone|block_public",
        "aws_s3_bucket_public_access_block",
        ("artifacts",),
    ),
    Change(
        "route deleted", _route_deleted, "route table .* route is nothing", r"aws_route_table\.public", ("network",)
    ),
    Change("tags removed", _tags_removed, "", r"aws_lb\.this", ("network",)),
    Change("task stopped", _task_stopped, "1 of 2 tasks run", "", verb=""),
    Change("hook deleted", _hook_deleted, "function chatbot-hook is gone", r"aws_lambda_function\.hook", ("ecs",)),
)


def _visit(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as page:
            return str(page.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        return "nothing"


def _line(pattern: str, text: str) -> str:
    """The line of a verb's output that says it."""
    if not pattern:
        return "-"
    match = next((line for line in text.splitlines() if re.search(pattern, line)), None)
    assert match, f"no line says {pattern!r}:\n{text}"
    return " ".join(match.split())


def _try(hand: Hand, change: Change) -> tuple[str, ...]:
    machine = hand.machine
    change.by(hand)
    if change.down:
        eventually(lambda: _visit(machine.url) != "200", 60, "the page to be gone")
    seen = _visit(machine.url)
    status = machine.orchestrate("status", check=False)
    assert status.stdout.startswith("DOWN" if change.down else "UP"), status.stdout
    assert status.returncode == (1 if change.down else 0), status.stdout
    said = _line(change.told, status.stdout)
    if change.told and change.verb:
        assert "→ python -m orchestrator repair" in status.stdout
    planned = _line(change.planned, machine.orchestrate("plan", *change.phases).stdout) if change.planned else "-"
    began = time.monotonic()
    mended = machine.orchestrate(change.verb).stdout if change.verb else ""
    eventually(lambda: _whole(machine), 1 if change.verb else 120, f"nothing wrong any more\n{mended}")
    seconds = time.monotonic() - began
    return change.thing, seen, said, planned, change.verb or "ECS itself", f"{seconds:.0f}"


def _whole(machine: Machine) -> bool:
    """An alarm that went on takes a minute to go off."""
    told = json.loads(machine.orchestrate("status", "--json", check=False).stdout)
    return told["verdict"] == "UP" and not [fault for fault in told["faults"] if fault["name"] != "alarm"]


@pytest.fixture(scope="module")
def hand(deployed: Machine) -> Iterator[Hand]:
    yield Hand(deployed)


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, ...]]]:
    """What was seen, printed at the end."""
    rows = [HEAD]
    yield rows
    manager = request.config.pluginmanager.get_plugin("capturemanager")
    with manager.global_and_fixture_disabled():
        print("\n" + "\n".join(" | ".join(row) for row in rows))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.thing)
def test_what_is_changed_by_hand_is_told_explained_and_mended(
    hand: Hand, table: list[tuple[str, ...]], change: Change
) -> None:
    table.append(_try(hand, change))


def test_a_plan_finds_nothing_after_all_by_hand(hand: Hand) -> None:
    plan = hand.machine.orchestrate("plan", "--detailed-exitcode", check=False)
    assert plan.returncode == 0, plan.stdout
