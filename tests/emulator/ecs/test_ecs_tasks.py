"""Single tasks, from RunTask to STOPPED."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.emulator.ecs.bundle import Bundle
from tests.emulator.ecs.conftest import TRUST, World
from tests.waiting import eventually


def ask(world: World, arn: str, path: str = "env") -> dict[str, Any]:
    """What the task's own server says; at first it may not listen yet."""

    def answer() -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"http://{world.listens(arn)}/{path}", timeout=60) as reply:
                found: dict[str, Any] = json.load(reply)
                return found
        except (OSError, KeyError):
            return None

    found: dict[str, Any] = eventually(answer)
    return found


def lines(world: World, arn: str, container: str = "web") -> list[str]:
    stream = f"tiny/{container}/{arn.rpartition('/')[2]}"
    events = world.client("logs").get_log_events(logGroupName="/ecs/tiny", logStreamName=stream, startFromHead=True)
    return [event["message"] for event in events["events"]]


def test_a_task_runs_and_is_described_as_on_fargate(world: World) -> None:
    arn = world.run(world.define(), startedBy="me", tags=[{"key": "a", "value": "b"}])
    task = world.reaches(arn, "RUNNING")
    details = {each["name"]: each["value"] for each in task["attachments"][0]["details"]}
    assert task["attachments"][0]["status"] == "ATTACHED"
    assert details["privateIPv4Address"].startswith("10.7.")
    assert details["subnetId"] in world.subnets
    assert task["group"] == "family:tiny"
    assert task["startedBy"] == "me"
    assert (task["cpu"], task["memory"], task["launchType"]) == ("256", "512", "FARGATE")
    assert task["tags"] == [{"key": "a", "value": "b"}]
    container = task["containers"][0]
    assert container["lastStatus"] == "RUNNING"
    assert container["imageDigest"] == world.image.partition("@")[2]
    assert container["networkInterfaces"][0]["privateIpv4Address"] == details["privateIPv4Address"]
    moments = [task[key] for key in ("createdAt", "connectivityAt", "pullStartedAt", "pullStoppedAt", "startedAt")]
    assert moments == sorted(moments)
    interfaces = world.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])
    assert interfaces["NetworkInterfaces"][0]["PrivateIpAddress"] == details["privateIPv4Address"]


def test_a_container_sees_only_its_own_environment(world: World) -> None:
    os.environ["NOT_FOR_TASKS"] = "secret of the host"
    try:
        container = world.container(environment=[{"name": "WHO", "value": "definition"}])
        arn = world.run(world.define(container))
        seen = ask(world, arn)
    finally:
        del os.environ["NOT_FOR_TASKS"]
    assert "NOT_FOR_TASKS" not in seen
    assert seen["WHO"] == "definition"
    assert seen["HOST"] == "127.0.0.1"
    assert f"127.0.0.1:{seen['PORT']}" == world.listens(arn)
    assert seen["AWS_ENDPOINT_URL"] == world.emulator.url
    assert seen["AWS_REGION"] == "us-east-1"
    assert Path(seen["cwd"]).parts[-2:] == ("root", "app")
    assert not seen["HOME"].startswith(os.path.expanduser("~"))  # noqa: PTH111 - the host's home as a string


def test_stopping_sends_sigterm_and_says_who_asked(world: World) -> None:
    arn = world.run(world.define())
    ask(world, arn)
    world.ecs.stop_task(cluster="house", task=arn, reason="enough")
    task = world.reaches(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 0
    assert lines(world, arn)[-1] == "goodbye"
    assert task["attachments"][0]["status"] == "DELETED"
    details = {each["name"]: each["value"] for each in task["attachments"][0]["details"]}
    with pytest.raises(ClientError, match="InvalidNetworkInterfaceID"):
        world.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])


def test_who_ignores_sigterm_is_killed_after_the_stop_timeout(world: World) -> None:
    container = world.container(environment=[{"name": "ON_TERM", "value": "ignore"}], stopTimeout=2)
    arn = world.run(world.define(container))
    ask(world, arn)
    since = time.monotonic()
    world.ecs.stop_task(cluster="house", task=arn)
    task = world.reaches(arn, "STOPPED")
    assert 1.8 < time.monotonic() - since < 25  # of 30, the default
    assert task["containers"][0]["exitCode"] == 137


def test_an_essential_container_that_exits_ends_the_task_with_its_code(world: World) -> None:
    arn = world.run(world.define())
    with pytest.raises(AssertionError):
        eventually(lambda: ask_once(world, arn, "exit/3"), 3)
    task = world.reaches(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert task["containers"][0]["exitCode"] == 3


def ask_once(world: World, arn: str, path: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{world.listens(arn)}/{path}", timeout=2).close()
    except (OSError, KeyError):
        return False
    return True


def test_a_missing_image_is_told_as_cannot_pull(world: World) -> None:
    missing = world.image.partition("@")[0] + "@sha256:" + "0" * 64
    task = world.reaches(world.run(world.define(world.container(image=missing))), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: pull image manifest has been retried")
    assert "not found" in task["stoppedReason"]


def test_an_image_that_is_no_bundle_is_refused_with_the_reason(world: World) -> None:
    image = world.push(Bundle(labels={}), "plain")
    task = world.reaches(world.run(world.define(world.container(image=image))), "STOPPED")
    assert "is no bundle image" in task["stoppedReason"]


def test_a_program_that_is_not_there_is_told_as_cannot_start(world: World) -> None:
    task = world.reaches(world.run(world.define(world.container(entryPoint=["/no/such/program"]))), "STOPPED")
    assert task["stoppedReason"].startswith("CannotStartContainerError:")


def test_a_missing_log_group_is_a_resource_initialization_error(world: World) -> None:
    container = world.container()
    container["logConfiguration"]["options"]["awslogs-group"] = "/none"
    task = world.reaches(world.run(world.define(container)), "STOPPED")
    assert task["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args")
    container["logConfiguration"]["options"]["awslogs-create-group"] = "true"
    world.reaches(world.run(world.define(container)), "RUNNING")
    assert world.client("logs").describe_log_groups(logGroupNamePrefix="/none")["logGroups"]


def test_secrets_come_from_both_stores(world: World) -> None:
    secret = world.client("secretsmanager").create_secret(Name="keys", SecretString='{"token": "t-1", "n": 7}')["ARN"]
    world.client("ssm").put_parameter(Name="/tiny/level", Value="high", Type="SecureString")
    parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/tiny/level"
    secrets = {
        "WHOLE": secret, "TOKEN": f"{secret}:token::", "NUMBER": f"{secret}:n:AWSCURRENT:", "LEVEL": parameter,
        "SHORT": "/tiny/level",
    }  # fmt: skip
    container = world.container(secrets=[{"name": name, "valueFrom": source} for name, source in secrets.items()])
    seen = ask(world, world.run(world.define(container)))
    assert json.loads(seen["WHOLE"])["token"] == "t-1"
    assert (seen["TOKEN"], seen["NUMBER"], seen["LEVEL"], seen["SHORT"]) == ("t-1", "7", "high", "high")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:none-AbCdEf", "failed to fetch secret"),
        ("/none", "invalid ssm parameters: /none"),
    ],
)
def test_a_secret_that_is_not_there_stops_the_task_before_it_starts(world: World, source: str, said: str) -> None:
    container = world.container(secrets=[{"name": "TOKEN", "valueFrom": source}])
    task = world.reaches(world.run(world.define(container)), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: unable to pull secrets or registry auth:")
    assert said in task["stoppedReason"]
    assert "startedAt" not in task


def test_a_role_that_does_not_trust_ecs_is_refused(world: World) -> None:
    trust = json.dumps({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                       "Principal": {"Service": "lambda.amazonaws.com"}}]})  # fmt: skip
    role = world.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    task = world.reaches(world.run(world.define(taskRoleArn=role)), "STOPPED")
    assert task["stoppedReason"].startswith(f"ECS was unable to assume the role '{role}'")


def locked(*names: str) -> str:
    """The lines of the project's own lock for these packages: what an installed project has at hand."""
    entries = re.split(r"\n(?=\S)", (Path(__file__).parents[3] / "requirements.txt").read_text())
    return "\n".join(entry for entry in entries if entry.partition("==")[0] in names)


def test_code_in_a_task_calls_aws_as_its_task_role(world: World) -> None:
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'], flush=True)"
    names = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
    packages = {"dev.chatbot.builder": "bundle", "dev.chatbot.requirements": "/app/packages.txt"}
    files = {"app/server.py": script, "app/packages.txt": locked(*names)}
    image = world.push(Bundle(files=files, labels=packages), "caller")
    arn = world.run(world.define(world.container(image=image)))
    world.reaches(arn, "STOPPED")
    assert any(line.startswith("arn:aws:sts::123456789012:assumed-role/task/") for line in lines(world, arn)), lines(
        world, arn
    )


def test_a_task_reads_its_metadata(world: World) -> None:
    arn = world.run(world.define())
    uri = ask(world, arn)["ECS_CONTAINER_METADATA_URI_V4"]
    with urllib.request.urlopen(f"{uri}/task", timeout=60) as answer:
        about = json.load(answer)
    assert about["TaskARN"] == arn
    assert about["Containers"][0]["Name"] == "web"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(uri.replace("/v4/", "/v4/x"), timeout=60)


def test_logs_keep_their_order_through_long_lines_and_bytes_that_are_no_text(world: World) -> None:
    script = (
        "import sys\n"
        "out = sys.stdout.buffer\n"
        "for n in range(3000): out.write(b'line %d\\n' % n)\n"
        "out.write(b'\\xff\\xfe caf\\xc3\\xa9\\n\\n' + b'x' * 300_000 + b'\\nno newline at the end')\n"
        "out.flush()\n"
        "sys.stderr.write('\\nlast words')\n"
    )
    image = world.push(Bundle(files={"app/server.py": script}), "talker")
    arn = world.run(world.define(world.container(image=image)))
    world.reaches(arn, "STOPPED")
    stream = f"tiny/web/{arn.rpartition('/')[2]}"
    pages = (
        world.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName="/ecs/tiny", logStreamNames=[stream])
    )
    said = [event["message"] for page in pages for event in page["events"]]
    assert said[:3000] == [f"line {n}" for n in range(3000)]
    assert said[3000] == "\ufffd\ufffd café"
    assert sum(len(part) for part in said[3001:3003]) == 300_000
    assert said[3003:] == ["no newline at the end", "last words"]


def test_containers_start_in_the_order_of_their_dependencies(world: World) -> None:
    once = world.push(Bundle(files={"app/server.py": "print('prepared')"}), "once")
    first = world.container(name="prepare", image=once, essential=False, portMappings=[])
    second = world.container(dependsOn=[{"containerName": "prepare", "condition": "SUCCESS"}])
    arn = world.run(world.define(second, first))
    task = world.reaches(arn, "RUNNING")
    by_name = {each["name"]: each for each in task["containers"]}
    assert by_name["web"]["lastStatus"] == "RUNNING"
    eventually(lambda: lines(world, arn, "prepare") == ["prepared"])


def test_a_dependency_that_fails_fails_the_task(world: World) -> None:
    broken = world.push(Bundle(files={"app/server.py": "raise SystemExit(4)"}), "broken")
    first = world.container(name="prepare", image=broken, essential=False, portMappings=[])
    second = world.container(dependsOn=[{"containerName": "prepare", "condition": "SUCCESS"}])
    task = world.reaches(world.run(world.define(second, first)), "STOPPED")
    assert "which exited with 4" in task["stoppedReason"]
    assert {each["name"]: each.get("exitCode") for each in task["containers"]} == {"web": None, "prepare": 4}


def test_a_container_health_check_makes_a_task_healthy(world: World) -> None:
    check = "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz')"
    command = ["CMD", "python", "-c", check]
    arn = world.run(world.define(world.container(healthCheck={"command": command, "interval": 5})))
    world.reaches(arn, "RUNNING")
    assert world.task(arn)["healthStatus"] == "UNKNOWN"
    eventually(lambda: world.task(arn)["healthStatus"] == "HEALTHY")


def test_overrides_change_command_and_environment(world: World) -> None:
    override = {"name": "web", "command": ["python", "-c", "import os; print(os.environ['WHO'])"],
                "environment": [{"name": "WHO", "value": "override"}]}  # fmt: skip
    image = world.push(Bundle(entry_point=[], command=["python", "server.py"]), "plain-command")
    arn = world.run(world.define(world.container(image=image)), overrides={"containerOverrides": [override]})
    world.reaches(arn, "STOPPED")
    assert lines(world, arn) == ["override"]


def test_a_stop_during_the_start_ends_it_at_once(world: World) -> None:
    arns = [world.run(world.define()) for _ in range(4)]
    for arn in arns:
        world.ecs.stop_task(cluster="house", task=arn)
    for arn in arns:
        assert world.reaches(arn, "STOPPED")["stopCode"] == "UserInitiated"
    eventually(lambda: not [c for c in world.emulator.store.children.alive() if c.name.startswith("task ")])
    assert not world.client("ec2").describe_network_interfaces()["NetworkInterfaces"]


def test_twenty_tasks_at_once_have_addresses_of_their_own(world: World) -> None:
    arns = [world.run(world.define()) for _ in range(20)]
    for arn in arns:
        world.reaches(arn, "RUNNING")
    seen = {world.task(arn)["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for arn in arns}
    assert len(seen) == 20
    assert len({ask(world, arn)["pid"] for arn in arns}) == 20
    assert world.ecs.describe_clusters(clusters=["house"])["clusters"][0]["runningTasksCount"] == 20


def test_waiters_of_the_sdk_see_tasks_run_and_stop(world: World) -> None:
    ecs = world.ecs
    fast = {"Delay": 1, "MaxAttempts": 20}
    arn = world.run(world.define())
    ecs.get_waiter("tasks_running").wait(cluster="house", tasks=[arn], WaiterConfig=fast)
    ecs.stop_task(cluster="house", task=arn)
    ecs.get_waiter("tasks_stopped").wait(cluster="house", tasks=[arn], WaiterConfig=fast)
    assert world.ecs.list_tasks(cluster="house")["taskArns"] == []
    assert world.ecs.list_tasks(cluster="house", desiredStatus="STOPPED")["taskArns"].count(arn) == 1


def test_files_that_a_task_writes_are_gone_with_it(world: World) -> None:
    script = "open('note', 'w').write('x')\nimport time\nprint('written', flush=True)\ntime.sleep(60)"
    image = world.push(Bundle(files={"app/server.py": script}), "writer")
    arn = world.run(world.define(world.container(image=image)))
    eventually(lambda: world.task(arn)["lastStatus"] == "RUNNING" and lines(world, arn) == ["written"])
    folder = world.emulator.store.folder / "tasks" / arn.rpartition("/")[2]
    assert (folder / "web/root/app/note").exists()
    world.ecs.stop_task(cluster="house", task=arn)
    world.reaches(arn, "STOPPED")
    assert not folder.exists()


def test_capacity_providers_share_tasks_by_base_and_weight(world: World) -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    started = world.ecs.run_task(
        cluster="house", taskDefinition=world.define(), count=9, networkConfiguration=world.network,
        capacityProviderStrategy=strategy,
    )["tasks"]  # fmt: skip
    names = [task["capacityProviderName"] for task in started]
    assert (names.count("FARGATE"), names.count("FARGATE_SPOT")) == (3, 6)


def test_what_is_killed_from_outside_is_told_as_killed(world: World) -> None:
    arn = world.run(world.define())
    os.kill(ask(world, arn)["pid"], signal.SIGKILL)
    task = world.reaches(arn, "STOPPED")
    assert task["containers"][0]["exitCode"] == 137
    assert task["stopCode"] == "EssentialContainerExited"


def test_execute_command_is_refused_by_name(world: World) -> None:
    arn = world.run(world.define(), enableExecuteCommand=True)
    with pytest.raises(ClientError, match="does not support ecs:ExecuteCommand"):
        world.ecs.execute_command(cluster="house", task=arn, command="sh", interactive=True)


def test_the_whole_of_it_through_a_socket(world: World) -> None:
    """As an SDK that is not ours calls it: over HTTP, with numbers for dates."""
    session = boto3.Session("test", "test", region_name="us-east-1")
    ecs = session.client("ecs", endpoint_url=world.emulator.url, config=Config(retries={"total_max_attempts": 1}))
    arn = world.run(world.define())
    assert ecs.describe_tasks(cluster="house", tasks=[arn])["tasks"][0]["createdAt"].tzinfo


def test_the_same_call_again_starts_nothing(world: World) -> None:
    definition = world.define()
    assert world.run(definition, clientToken="t1") == world.run(definition, clientToken="t1")
    assert world.run(definition, clientToken="t2") not in {world.run(definition, clientToken="t1")}
    assert len(world.tasks()) == 2


@pytest.mark.parametrize(
    ("forbidden", "said"),
    [
        ("ecr:GetAuthorizationToken", "unable to retrieve ecr registry auth"),
        ("ecr:BatchGetImage", "CannotPullContainerError: "),
        ("secretsmanager:GetSecretValue", "unable to retrieve secret from asm"),
        ("logs:CreateLogStream", "failed to create Cloudwatch log stream"),
    ],
)
def test_what_the_execution_role_may_not_do_is_the_reason(
    world: World, monkeypatch: pytest.MonkeyPatch, forbidden: str, said: str
) -> None:
    monkeypatch.setattr(world.emulator.store.config, "iam", "enforce")
    iam, name = world.client("iam"), "without-" + forbidden.replace(":", "-")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    reads = ["logs:*", "ecr:*", "secretsmanager:*"]
    statements = [
        {"Effect": "Allow", "Action": reads, "Resource": "*"},
        {"Effect": "Deny", "Action": forbidden, "Resource": "*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="most", PolicyDocument=policy)
    secret = world.client("secretsmanager").create_secret(Name=name, SecretString="s")["ARN"]
    container = world.container(secrets=[{"name": "TOKEN", "valueFrom": secret}])
    task = world.reaches(world.run(world.define(container, executionRoleArn=role)), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert said in task["stoppedReason"]
    assert "not authorized to perform" in task["stoppedReason"]
