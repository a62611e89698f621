"""A pipeline like the project's: CodeCommit, CodeBuild, CodeDeploy, started by an event; only ECS is a fake."""

from __future__ import annotations

import json
from typing import Any

from tests.emulator.release.house import House, Json, appspec
from tests.waiting import eventually

BUILDSPEC = """
version: 0.2
env: {exported-variables: [WORD]}
phases:
  build:
    commands:
      - export WORD=built
      - test ! -e broken
      - '[ -e imageDetail.json ] || printf "{\\"ImageURI\\": \\"repository@sha256:%064d\\"}" 1 >imageDetail.json'
artifacts: {files: [imageDetail.json, taskdef.json, appspec.yaml]}
"""
TASKDEF = {
    "family": "chatbot", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
    "containerDefinitions": [{"name": "chatbot", "image": "<IMAGE1_NAME>", "essential": True}],
}  # fmt: skip
APPSPEC = appspec("<TASK_DEFINITION>")


def action(category: str, provider: str, name: str = "", **members: Any) -> Json:
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name or category, "actionTypeId": kind, **members}


class Pipes:
    """`house`: the service; here its repository, project, bucket, rule and pipeline."""

    def __init__(self, house: House) -> None:
        self.house, self.store = house, house.store
        self.client = self.store.clients("codepipeline")
        self.commits = self.store.clients("codecommit")
        self.commits.create_repository(repositoryName="chatbot")
        self.roles = {name: house.trusted(name) for name in ("codepipeline", "codebuild", "events")}
        self.store.clients("s3").create_bucket(Bucket="artifacts")
        self.store.clients("codebuild").create_project(
            name="chatbot", serviceRole=self.roles["codebuild"], source={"type": "CODEPIPELINE"},
            artifacts={"type": "CODEPIPELINE"},
            environment={"type": "LINUX_CONTAINER", "image": "any", "computeType": "BUILD_GENERAL1_SMALL"},
        )  # fmt: skip
        house.codedeploy.create_deployment_group(**house.group())

    def commit(self, message: str = "a change", delete: tuple[str, ...] = (), **files: str) -> str:
        """Changes files (`name__ext` is name.ext) and answers the commit."""
        branches = self.commits.list_branches(repositoryName="chatbot")["branches"]
        parent = {}
        if branches:
            tip = self.commits.get_branch(repositoryName="chatbot", branchName="main")["branch"]["commitId"]
            parent = {"parentCommitId": tip}
        else:
            files = {
                "buildspec__yml": BUILDSPEC, "taskdef__json": json.dumps(TASKDEF), "appspec__yaml": APPSPEC, **files
            }  # fmt: skip
        puts = [{"filePath": name.replace("__", "."), "fileContent": text.encode()} for name, text in files.items()]
        made = self.commits.create_commit(
            repositoryName="chatbot", branchName="main", commitMessage=message, putFiles=puts,
            deleteFiles=[{"filePath": name} for name in delete], **parent,
        )  # fmt: skip
        return str(made["commitId"])

    def stages(self) -> list[Json]:
        configuration = {
            "ApplicationName": "chatbot", "DeploymentGroupName": "chatbot", "AppSpecTemplateArtifact": "built",
            "TaskDefinitionTemplateArtifact": "built", "Image1ArtifactName": "built",
            "Image1ContainerName": "IMAGE1_NAME",
        }  # fmt: skip
        source = action(
            "Source", "CodeCommit", outputArtifacts=[{"name": "source"}], namespace="Source",
            configuration={"RepositoryName": "chatbot", "BranchName": "main", "PollForSourceChanges": "false"},
        )  # fmt: skip
        build = action(
            "Build", "CodeBuild", inputArtifacts=[{"name": "source"}], outputArtifacts=[{"name": "built"}],
            configuration={"ProjectName": "chatbot"}, namespace="Build",
        )  # fmt: skip
        deploy = action(
            "Deploy", "CodeDeployToECS", inputArtifacts=[{"name": "built"}], configuration=configuration
        )  # fmt: skip
        return [{"name": each["name"], "actions": [each]} for each in (source, build, deploy)]

    def declaration(self, **settings: Any) -> Json:
        return {
            "name": "chatbot", "roleArn": self.roles["codepipeline"], "pipelineType": "V2", "executionMode": "QUEUED",
            "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": self.stages(), **settings,
        }  # fmt: skip

    def create(self, **settings: Any) -> str:
        """Answers the execution that AWS starts with every new pipeline."""
        self.client.create_pipeline(pipeline=self.declaration(**settings))
        return str(self.summaries()[0]["pipelineExecutionId"])

    def create_and_finish(self) -> str:
        """A pipeline with one good execution behind it."""
        execution = self.create()
        assert self.finished(execution)["status"] == "Succeeded", self.actions(execution)
        return execution

    def rule(self) -> str:
        """What starts the pipeline when the branch moves; answers its ARN."""
        events = self.store.clients("events")
        pattern = {
            "source": ["aws.codecommit"], "detail-type": ["CodeCommit Repository State Change"],
            "detail": {
                "event": ["referenceCreated", "referenceUpdated"], "referenceType": ["branch"],
                "referenceName": ["main"],
            },
        }  # fmt: skip
        arn = str(events.put_rule(Name="push", EventPattern=json.dumps(pattern))["RuleArn"])
        pipeline = "arn:aws:codepipeline:us-east-1:123456789012:chatbot"
        events.put_targets(Rule="push", Targets=[{"Id": "1", "Arn": pipeline, "RoleArn": self.roles["events"]}])
        return arn

    def start(self, **parameters: Any) -> str:
        return str(self.client.start_pipeline_execution(name="chatbot", **parameters)["pipelineExecutionId"])

    def summaries(self) -> list[Json]:
        found: list[Json] = self.client.list_pipeline_executions(pipelineName="chatbot")["pipelineExecutionSummaries"]
        return found

    def info(self, execution: str) -> Json:
        answer = self.client.get_pipeline_execution(pipelineName="chatbot", pipelineExecutionId=execution)
        found: Json = answer["pipelineExecution"]
        return found

    def finished(self, execution: str, seconds: float = 30) -> Json:
        over = ("Succeeded", "Failed", "Stopped", "Superseded")
        found: Json = eventually(lambda: self.info(execution)["status"] in over and self.info(execution), seconds)
        return found

    def state(self) -> dict[str, Json]:
        return {each["stageName"]: each for each in self.client.get_pipeline_state(name="chatbot")["stageStates"]}

    def latest(self, stage: str) -> Json:
        """The latest execution of the stage's first action."""
        found: Json = self.state()[stage]["actionStates"][0].get("latestExecution", {})
        return found

    def actions(self, execution: str) -> dict[str, Json]:
        answer = self.client.list_action_executions(
            pipelineName="chatbot", filter={"pipelineExecutionId": execution}
        )  # fmt: skip
        return {each["actionName"]: each for each in reversed(answer["actionExecutionDetails"])}
