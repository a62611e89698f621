"""What waits for a release: settings that no task has yet, told by their names; what ECS fills in is none."""

from __future__ import annotations

from orchestrator import pending
from orchestrator.pending import Change

CONTAINER = {
    "name": "chatbot",
    "image": "host/chatbot@sha256:1",
    "environment": [{"name": "CHATBOT_TITLE", "value": "A"}],
}


def test_a_changed_setting_is_told_by_its_name() -> None:
    serves = {
        "cpu": "256",
        "status": "ACTIVE",
        "revision": 3,
        "containerDefinitions": [CONTAINER | {"mountPoints": []}],
    }
    wanted = {
        "cpu": "512",
        "containerDefinitions": [CONTAINER | {"environment": [{"name": "CHATBOT_TITLE", "value": "B"}], "image": "x"}],
    }
    assert pending.differences(serves, wanted) == [
        Change("ecs.cpu", "256", "512"), Change("ecs.chatbot_title", "A", "B"),
    ]  # fmt: skip


def test_a_variable_that_goes_is_a_difference_and_the_order_of_them_is_none() -> None:
    both = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    serves = {"containerDefinitions": [CONTAINER | {"environment": both}]}
    turned = {"containerDefinitions": [CONTAINER | {"environment": both[::-1]}]}
    fewer = {"containerDefinitions": [CONTAINER | {"environment": both[:1]}]}
    assert pending.differences(serves, turned) == []
    assert pending.differences(serves, fewer) == [Change("B", "2", "")]
