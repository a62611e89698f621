"""ECS's own events on EventBridge: tasks that change, services that are steady, deployments that end.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_cwe_events.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from emulator.control.ecs import shapes
from emulator.control.ecs.tables import Deployment, Service, Task, now
from emulator.control.events import bus
from emulator.state.store import Store

_SOURCE = "aws.ecs"


def task_changed(store: Store, task: Task) -> None:
    detail = _plain(shapes.task(task, [])) | {"updatedAt": _plain(now())}
    bus.emit(store, (task.account, task.region), _SOURCE, "ECS Task State Change", detail, [task.arn])


def service_acted(store: Store, service: Service, name: str) -> None:
    """`name`: SERVICE_STEADY_STATE, SERVICE_TASK_START_IMPAIRED, …"""
    level = "WARN" if name.endswith("IMPAIRED") else "INFO"
    detail = {"eventType": level, "eventName": name, "clusterArn": service.cluster_arn, "createdAt": _plain(now())}
    bus.emit(store, _scope(service), _SOURCE, "ECS Service Action", detail, [service.arn])


def deployment_changed(store: Store, service: Service, deployment: Deployment) -> None:
    level = "ERROR" if deployment.rollout == "FAILED" else "INFO"
    detail = {
        "eventType": level, "eventName": f"SERVICE_DEPLOYMENT_{deployment.rollout}", "deploymentId": deployment.id,
        "updatedAt": _plain(deployment.updated_at), "reason": deployment.reason,
    }  # fmt: skip
    bus.emit(store, _scope(service), _SOURCE, "ECS Deployment State Change", detail, [service.arn])


def _scope(service: Service) -> tuple[str, str]:
    _, _, _, region, account, *_ = service.arn.split(":")
    return account, region


def _plain(value: Any) -> Any:
    """With dates as events have them."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
