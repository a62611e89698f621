"""The pipeline of AWS's tutorial: an image in ECR and two documents in CodeCommit, deployed by CodeDeploy.

https://docs.aws.amazon.com/codepipeline/latest/userguide/tutorials-ecs-ecr-codedeploy.html
"""

from __future__ import annotations

import json

from emulator.control import ecr
from tests.emulator.ecs.bundle import Bundle
from tests.emulator.release import tutorial
from tests.emulator.release.house import House
from tests.emulator.release.pipes import Pipes, action


def test_the_tutorial_s_documents_run_unchanged(pipes: Pipes, house: House) -> None:
    pipes.store.clients("ecr").create_repository(repositoryName="nginx")
    digest = Bundle().push(ecr.registry(pipes.store), "nginx", "latest")
    pipes.commit(
        taskdef__json=json.dumps(tutorial.taskdef("sample-website", "ecs-demo")),
        appspec__yaml=tutorial.appspec("sample-website"),
    )
    image = action(
        "Source", "ECR", "Image", outputArtifacts=[{"name": "MyImage"}],
        configuration={"RepositoryName": "nginx", "ImageTag": "latest"},
    )  # fmt: skip
    documents = action(
        "Source", "CodeCommit", outputArtifacts=[{"name": "SourceArtifact"}],
        configuration={"RepositoryName": "chatbot", "BranchName": "main", "PollForSourceChanges": "false"},
    )  # fmt: skip
    configuration = {
        "ApplicationName": "chatbot", "DeploymentGroupName": "chatbot", "AppSpecTemplateArtifact": "SourceArtifact",
        "AppSpecTemplatePath": "appspec.yaml", "TaskDefinitionTemplateArtifact": "SourceArtifact",
        "TaskDefinitionTemplatePath": "taskdef.json", "Image1ArtifactName": "MyImage",
        "Image1ContainerName": "IMAGE1_NAME",
    }  # fmt: skip
    deploy = action(
        "Deploy", "CodeDeployToECS", configuration=configuration,
        inputArtifacts=[{"name": "SourceArtifact"}, {"name": "MyImage"}],
    )  # fmt: skip
    stages = [{"name": "Source", "actions": [image, documents]}, {"name": "Deploy", "actions": [deploy]}]
    execution = pipes.create(stages=stages)
    assert pipes.finished(execution)["status"] == "Succeeded", pipes.actions(execution)
    (registered,) = house.ecs.task_definitions
    assert registered["family"] == "ecs-demo"
    assert registered["containerDefinitions"][0]["image"].endswith(f"/nginx@{digest}")
    assert house.colour() == "green"
