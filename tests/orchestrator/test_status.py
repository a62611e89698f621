"""What `status` says of the image that serves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator import status, view

ECS = {"cluster_name": "chatbot", "service_name": "chatbot"}
DIGEST = "sha256:" + "1" * 64


class FakeAws:
    """ECS with two colours, and a repository."""

    def __init__(self, pushed: datetime | None) -> None:
        self._pushed = pushed

    def client(self, _: str) -> FakeAws:
        return self

    def describe_services(self, **_: Any) -> dict[str, Any]:
        sets = [{"status": "ACTIVE", "taskDefinition": "new"}, {"status": "PRIMARY", "taskDefinition": "serving"}]
        return {"services": [{"taskDefinition": "first", "taskSets": sets}]}

    def describe_task_definition(self, taskDefinition: str) -> dict[str, Any]:
        assert taskDefinition == "serving"
        return {"taskDefinition": {"containerDefinitions": [{"image": f"host/chatbot@{DIGEST}"}]}}

    def describe_images(self, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:
        assert (repositoryName, imageIds) == ("chatbot", [{"imageDigest": DIGEST}])
        if self._pushed is None:
            raise ClientError({"Error": {"Code": "ImageNotFoundException"}}, "DescribeImages")
        return {"imageDetails": [{"imagePushedAt": self._pushed}]}


@pytest.mark.parametrize(
    ("pushed", "says"),
    [(datetime.now(UTC) - timedelta(days=40, hours=1), "40 days ago"), (None, "gone from the repository")],
)
def test_the_image_that_serves_is_shown_with_its_age(pushed: datetime | None, says: str) -> None:
    aws: Any = FakeAws(pushed)
    found = status._image(aws, status._described(aws, ECS))
    assert found["digest"] == DIGEST
    (row,) = [row for row in view.status({"phases": [], "image": found}) if row[0] == "image"]
    assert row[1] == DIGEST[:19] and says in row[2]


def test_a_name_of_ones_own_is_told_where_to_lead() -> None:
    network = {"url": "https://chat.example.com", "test_url": "https://chat.example.com:8080"}
    own = {"load_balancer_dns_name": "chatbot-prod-1.eu-central-1.elb.amazonaws.com"}
    said = dict(row[:2] for row in view.farewell({"network": network | own}, "make status"))
    assert said["record"].startswith("chat.example.com must lead to chatbot-prod-1.eu-central-1.elb.amazonaws.com")
    here = {"url": "http://localhost:8000", "load_balancer_dns_name": "localhost"}
    assert [row[0] for row in view.farewell({"network": here}, "make status")] == ["chat", "next"]
