"""Services of every controller, with real tasks behind them."""

from __future__ import annotations

import urllib.request

import pytest

from tests.emulator.ecs.conftest import World, eventually


def balancers(group: str) -> list[dict[str, object]]:
    return [{"targetGroupArn": group, "containerName": "web", "containerPort": 7860}]


def test_a_code_deploy_service_runs_two_real_tasks_that_are_healthy_targets(world: World, free_port: int) -> None:
    group, _ = world.balancer(free_port)
    world.serve(world.define(), deploymentController={"type": "CODE_DEPLOY"}, loadBalancers=balancers(group))
    service = world.settles(2)
    assert world.health(group) == ["healthy", "healthy"]
    assert service["taskSets"][0]["stabilityStatus"] == "STEADY_STATE"
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/", timeout=5) as answer:
        assert answer.status == 200
