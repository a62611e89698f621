"""The documents of AWS's tutorials for blue/green deployments of ECS services, with names of our own.

https://docs.aws.amazon.com/codepipeline/latest/userguide/tutorials-ecs-ecr-codedeploy.html
"""

from __future__ import annotations

from tests.emulator.release import house


def taskdef(container: str, family: str) -> house.Json:
    return {
        "executionRoleArn": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "containerDefinitions": [{
            "name": container, "image": "<IMAGE1_NAME>", "essential": True,
            "portMappings": [{"hostPort": 80, "protocol": "tcp", "containerPort": 80}],
        }],
        "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "family": family,
    }  # fmt: skip


def appspec(container: str, definition: str = "<TASK_DEFINITION>") -> str:
    return house.appspec(definition, container, 80)
