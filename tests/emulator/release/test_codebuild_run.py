"""Builds really run: their phases, environment, artifacts and logs, and what is said when they fail."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.control.codebuild.tables import tables
from emulator.loops import codebuild
from emulator.loops.runner import Loop, Runner
from emulator.state.store import Store
from tests.waiting import eventually

Json = dict[str, Any]


class Bench:
    """A project whose builds take their source from a zip in S3 and put their artifacts beside it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.client = store.clients("codebuild")
        self.s3 = store.clients("s3")
        self.s3.create_bucket(Bucket="builds")
        statement = {
            "Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"
        }  # fmt: skip
        self.role = store.clients("iam").create_role(
            RoleName="codebuild", AssumeRolePolicyDocument=json.dumps({"Statement": [statement]})
        )["Role"]["Arn"]

    def project(self, **settings: Any) -> Json:
        return {
            "name": "chatbot", "serviceRole": self.role, "source": {"type": "S3", "location": "builds/source.zip"},
            "artifacts": {"type": "S3", "location": "builds", "path": "out", "name": "all.zip", "packaging": "ZIP"},
            "environment": {
                "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            **settings,
        }  # fmt: skip

    def source(self, buildspec: str, **files: str) -> None:
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            for name, text in {"buildspec.yml": buildspec, **files}.items():
                archive.writestr(name, text)
        self.s3.put_object(Bucket="builds", Key="source.zip", Body=body.getvalue())

    def start(self, **overrides: Any) -> str:
        if not self.client.list_projects()["projects"]:
            self.client.create_project(**self.project())
        return str(self.client.start_build(projectName="chatbot", **overrides)["build"]["id"])

    def info(self, build: str) -> Json:
        (found,) = self.client.batch_get_builds(ids=[build])["builds"]
        return dict(found)

    def build(self, buildspec: str, **files: str) -> Json:
        """A whole build, from start to end."""
        self.source(buildspec, **files)
        return self.finished(self.start())

    def finished(self, build: str) -> Json:
        found: Json = eventually(lambda: self.info(build)["buildComplete"] and self.info(build), 20)
        return found

    def artifact(self, key: str = "out/all.zip") -> dict[str, str]:
        body = self.s3.get_object(Bucket="builds", Key=key)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {name: archive.read(name).decode() for name in archive.namelist()}

    def log(self, build: Json) -> str:
        logs = build["logs"]
        events = self.store.clients("logs").get_log_events(
            logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=True
        )["events"]
        return "\n".join(each["message"] for each in events)


def states(build: Json) -> dict[str, str]:
    return {each["phaseType"]: each.get("phaseStatus", "") for each in build["phases"]}


@pytest.fixture
def bench(store: Store) -> Iterator[Bench]:
    runner = Runner(store, [Loop("codebuild", codebuild.reconcile, 0.05)])
    runner.start()
    yield Bench(store)
    runner.close()


def test_a_build_goes_through_its_phases_and_leaves_its_artifacts(bench: Bench) -> None:
    spec = """
version: 0.2
phases:
  pre_build: {commands: [mkdir out]}
  build: {commands: ["cat word.txt >out/said.txt"]}
artifacts: {files: ['**/*'], base-directory: out}
"""
    build = bench.build(spec, **{"word.txt": "hello"})
    assert build["buildStatus"] == "SUCCEEDED"
    assert list(states(build)) == [
        "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
        "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
    ]  # fmt: skip
    assert bench.artifact() == {"said.txt": "hello"}
    assert build["artifacts"]["location"] == "arn:aws:s3:::builds/out/all.zip" and build["artifacts"]["sha256sum"]
    assert "Running command cat word.txt" in bench.log(build)
    assert build["logs"]["groupName"] == "/aws/codebuild/chatbot"


def test_a_build_names_its_log_once_there_is_one(bench: Bench) -> None:
    """aws-actions/aws-codebuild-run-build reads any log that has a name, and fails where there is none."""
    bench.source("version: 0.2\nphases: {build: {commands: ['true']}}")
    bench.client.create_project(**bench.project())
    logs = bench.client.start_build(projectName="chatbot")["build"]["logs"]
    assert logs["cloudWatchLogsArn"] == "arn:aws:logs:us-east-1:123456789012:log-group:null:log-stream:null"
    assert logs["deepLink"].endswith("#logEvent:group=null;stream=null") and "groupName" not in logs


def test_cd_and_export_last_from_one_command_to_the_next_and_across_phases(bench: Bench) -> None:
    spec = """
version: 0.2
env: {exported-variables: [WORD]}
phases:
  install: {commands: ["mkdir -p a/b", "cd a/b", "export WORD='two words'", "greet() { echo hi; }"]}
  build: {commands: ["pwd >where", "greet >said"]}
artifacts: {files: [a/b/where, a/b/said]}
"""
    build = bench.build(spec)
    found = bench.artifact()
    assert found["a/b/where"].endswith("/a/b\n") and found["a/b/said"] == "hi\n"
    assert build["exportedEnvironmentVariables"] == [{"name": "WORD", "value": "two words"}]


def test_a_failing_build_still_runs_post_build_and_says_which_command_failed(bench: Bench) -> None:
    spec = """
version: 0.2
phases:
  build: {commands: ["echo before", "ls /nowhere", "echo never"], finally: ["echo at last"]}
  post_build: {commands: ["echo after $CODEBUILD_BUILD_SUCCEEDING >result"]}
artifacts: {files: [result]}
"""
    build = bench.build(spec)
    assert build["buildStatus"] == "FAILED"
    assert (states(build)["BUILD"], states(build)["POST_BUILD"]) == ("FAILED", "SUCCEEDED")
    (context,) = next(each["contexts"] for each in build["phases"] if each["phaseType"] == "BUILD")
    assert context["statusCode"] == "COMMAND_EXECUTION_ERROR"
    assert context["message"] == "Error while executing command: ls /nowhere. Reason: exit status 2"
    assert "at last" in bench.log(build) and "\nnever" not in bench.log(build)
    assert bench.artifact() == {"result": "after 0\n"}


@pytest.mark.parametrize(
    ("phase", "status", "post_build"),
    [
        ("pre_build: {commands: [exit 3]}", "FAILED", None),
        ("build: {commands: [exit 3]}", "FAILED", "SUCCEEDED"),
        ("build: {on-failure: ABORT, commands: [exit 3]}", "FAILED", None),
        ("build: {on-failure: CONTINUE, commands: [exit 3]}", "SUCCEEDED", "SUCCEEDED"),
        ("build: {on-failure: RETRY, commands: ['test -e again || (touch again; exit 3)']}", "SUCCEEDED", "SUCCEEDED"),
    ],
)
def test_what_follows_a_failure_is_the_phase_s_own_choice(
    bench: Bench, phase: str, status: str, post_build: str | None
) -> None:
    bench.source(f"version: 0.2\nphases:\n  {phase}\n")
    build = bench.finished(bench.start(artifactsOverride={"type": "NO_ARTIFACTS"}))
    assert build["buildStatus"] == status and states(build).get("POST_BUILD") == post_build


def test_the_environment_comes_from_everywhere_and_the_call_wins(bench: Bench) -> None:
    bench.store.clients("ssm").put_parameter(Name="/word", Value="from ssm", Type="SecureString")
    bench.store.clients("secretsmanager").create_secret(Name="token", SecretString='{"key": "from secrets"}')
    bench.source(
        """
version: 0.2
env:
  variables: {A: spec, B: spec, C: spec}
  parameter-store: {D: /word}
  secrets-manager: {E: "token:key"}
phases:
  build: {commands: [env >environment, "python3 -c 'import sys; print(sys.executable)' >python"]}
artifacts: {files: [environment, python]}
"""
    )
    environment = bench.project()["environment"]
    variables = [{"name": "B", "value": "project"}, {"name": "C", "value": "project"}]
    bench.client.create_project(**bench.project(environment={**environment, "environmentVariables": variables}))
    build = bench.finished(bench.start(environmentVariablesOverride=[{"name": "C", "value": "call"}]))
    found = dict(line.split("=", 1) for line in bench.artifact()["environment"].splitlines() if "=" in line)
    assert [found[name] for name in "ABCDE"] == ["spec", "project", "call", "from ssm", "from secrets"]
    assert found["CODEBUILD_BUILD_ID"] == build["id"] and found["AWS_ENDPOINT_URL"] == bench.store.config.url
    assert found["AWS_ACCESS_KEY_ID"] != "test" and found["CODEBUILD_BUILD_NUMBER"] == "1"

    assert bench.artifact()["python"].rsplit("/", 1)[0] == sys.executable.rsplit("/", 1)[0]


def test_artifacts_are_chosen_as_the_buildspec_says(bench: Bench) -> None:
    spec = """
version: 0.2
phases:
  build: {commands: ["mkdir -p x/y", "touch x/one.txt x/y/two.txt x/y/three.md"]}
artifacts:
  files: ['x/**/*']
  exclude-paths: ['**/*.md']
  discard-paths: yes
"""
    bench.build(spec)
    assert sorted(bench.artifact()) == ["one.txt", "two.txt"]


def test_secondary_artifacts_go_where_the_project_says(bench: Bench) -> None:
    spec = """
version: 0.2
phases: {build: {commands: [echo 1 >one, echo 2 >two]}}
artifacts:
  files: [one]
  secondary-artifacts: {second: {files: [two]}}
"""
    bench.source(spec)
    second = {
        "type": "S3",
        "location": "builds",
        "name": "second.zip",
        "packaging": "ZIP",
        "artifactIdentifier": "second",
    }
    bench.client.create_project(**bench.project(secondaryArtifacts=[second]))
    build = bench.finished(bench.start())
    assert bench.artifact("second.zip") == {"two": "2\n"}
    assert [each["artifactIdentifier"] for each in build["secondaryArtifacts"]] == ["second"]


@pytest.mark.parametrize(
    ("spec", "phase", "code", "message"),
    [
        ("version: 0.2\nphases: {build: {commands: ['true']}}\nartifacts: {files: [none]}", "UPLOAD_ARTIFACTS",
         "CLIENT_ERROR", "no matching artifact paths found"),
        ("version: 0.2\nphases: {build: {commands: ['true']}}\nartifacts: {files: [a], base-directory: none}",
         "UPLOAD_ARTIFACTS", "CLIENT_ERROR", "no matching base directory path found for none"),
        ("version: 0.2\nphases: {build: {commands: [a: b]}}", "DOWNLOAD_SOURCE", "YAML_FILE_ERROR", "needs quotes"),
        ("version: 0.2\nphases: {bild: {commands: ['true']}}", "DOWNLOAD_SOURCE", "YAML_FILE_ERROR",
         "unknown phase bild"),
        ("version: 0.2\nenv: {parameter-store: {A: /none}}\nphases: {build: {commands: ['true']}}", "DOWNLOAD_SOURCE",
         "CLIENT_ERROR", "Parameter Store Error Message: /none"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_said_in_the_phase_where_it_shows(
    bench: Bench, spec: str, phase: str, code: str, message: str
) -> None:
    build = bench.build(spec)
    assert build["buildStatus"] == "FAILED" and states(build)[phase] == "FAILED"
    (context,) = next(each["contexts"] for each in build["phases"] if each["phaseType"] == phase)
    assert context["statusCode"] == code and message in context["message"]


def test_a_build_without_a_buildspec_says_so(bench: Bench) -> None:
    bench.source("")
    bench.client.create_project(
        **bench.project(source={"type": "S3", "location": "builds/source.zip", "buildspec": "x.yml"})
    )
    build = bench.finished(bench.start())
    assert build["phases"][3]["contexts"][0]["message"] == "YAML file does not exist: x.yml"


def test_a_stopped_build_ends_at_once_and_leaves_no_process(bench: Bench) -> None:
    bench.source("version: 0.2\nphases: {build: {commands: [sleep 60]}}")
    build = bench.start()
    eventually(lambda: bench.info(build)["currentPhase"] == "BUILD")
    bench.client.stop_build(id=build)
    found = bench.finished(build)
    assert found["buildStatus"] == "STOPPED" and states(found)["BUILD"] == "STOPPED"
    assert bench.store.children.alive() == []


def test_a_build_that_takes_too_long_times_out(bench: Bench) -> None:
    bench.source("version: 0.2\nphases: {build: {commands: [sleep 60]}}")
    bench.client.create_project(**bench.project())
    build = bench.client.start_build(projectName="chatbot")["build"]["id"]
    eventually(lambda: bench.info(build)["currentPhase"] == "BUILD", 20)
    tables(bench.store).builds[build].project["timeoutInMinutes"] = 0  # nobody waits for the five that are the least
    found = bench.finished(build)
    assert found["buildStatus"] == "TIMED_OUT" and states(found)["BUILD"] == "TIMED_OUT"


def test_a_retry_is_a_build_of_its_own_with_the_same_parameters(bench: Bench) -> None:
    bench.source("version: 0.2\nphases: {build: {commands: ['test $WORD = good']}}")
    wanted = [{"name": "WORD", "value": "good"}]
    first = bench.start(environmentVariablesOverride=wanted, artifactsOverride={"type": "NO_ARTIFACTS"})
    assert bench.finished(first)["buildStatus"] == "SUCCEEDED"
    second = bench.client.retry_build(id=first)["build"]["id"]
    assert bench.finished(second)["buildStatus"] == "SUCCEEDED" and bench.info(second)["buildNumber"] == 2
    assert bench.client.list_builds_for_project(projectName="chatbot")["ids"] == [second, first]


def test_a_project_is_read_back_updated_and_deleted(bench: Bench) -> None:
    bench.client.create_project(**bench.project(tags=[{"key": "a", "value": "1"}]))
    with pytest.raises(bench.client.exceptions.ResourceAlreadyExistsException):
        bench.client.create_project(**bench.project())
    (found,) = bench.client.batch_get_projects(names=["chatbot"])["projects"]
    assert found["logsConfig"]["cloudWatchLogs"] == {"status": "ENABLED"} and found["cache"] == {"type": "NO_CACHE"}
    assert found["timeoutInMinutes"] == 60 and found["tags"] == [{"key": "a", "value": "1"}]
    bench.client.update_project(name="chatbot", description="new", timeoutInMinutes=10)
    (found,) = bench.client.batch_get_projects(names=["chatbot"])["projects"]
    assert (found["description"], found["timeoutInMinutes"]) == ("new", 10)
    bench.client.delete_project(name="chatbot")
    assert bench.client.batch_get_projects(names=["chatbot"])["projectsNotFound"] == ["chatbot"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serviceRole": "arn:aws:iam::123456789012:role/none"}, "not authorized to perform: sts:AssumeRole"),
        ({"source": {"type": "S3"}}, "Project source location is required"),
        ({"source": {"type": "CODEPIPELINE"}}, "must both be CODEPIPELINE"),
        ({"name": "a b"}, "Project names must be between"),
    ],
)
def test_a_project_that_could_not_build_is_refused(bench: Bench, change: Json, message: str) -> None:
    with pytest.raises(bench.client.exceptions.InvalidInputException, match=message):
        bench.client.create_project(**bench.project(**change))
