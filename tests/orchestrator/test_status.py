"""What `status` says of the image that serves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator import status, view

DIGEST = "sha256:" + "1" * 64


class FakeAws:
    """A repository."""

    def __init__(self, pushed: datetime | None) -> None:
        self._pushed = pushed

    def client(self, _: str) -> FakeAws:
        return self

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
    found = status._image(aws, {"containerDefinitions": [{"image": f"host/chatbot@{DIGEST}"}]})
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


def told(**parts: Any) -> list[tuple[str, ...]]:
    return view.status({"phases": [], **parts}, datetime(2026, 1, 2, 12, tzinfo=UTC))


def test_what_serves_is_shown_with_its_commit_and_its_age() -> None:
    live = {"commit": "0123456789", "subject": "Warmer answers", "task_definition": "chatbot:7",
            "since": "2026-01-02T09:00:00+00:00"}  # fmt: skip
    assert told(live=live) == [("live", "01234567 Warmer answers", "chatbot:7 for 3 h")]
    assert (
        told(live=live | {"commit": "", "subject": ""})[0][1] == "the first deployment's image, of no commit released"
    )


def test_what_waits_for_a_release_is_shown_with_the_command_that_brings_it() -> None:
    waiting = {
        "settings": [{"attribute": "ecs.cpu", "before": "256", "now": "512"}],
        "commits": [f"{number:08d} a change" for number in range(7)],
        "command": "python -m orchestrator release",
    }
    rows = told(waiting=waiting)
    assert rows[0] == ("waits", "ecs.cpu: 256 → 512") and rows[1] == ("waits", "00000000 a change")
    assert rows[-2:] == [("waits", "and 2 commits more"), ("release them", "python -m orchestrator release")]


def test_a_push_that_failed_is_told_until_another_went_well() -> None:
    last = {"result": "Failed", "commit": "0123456789", "began": "2026-01-02 10:00:00", "why": "Build:\n exit status 2"}
    assert told(last=last) == [("last release", "Failed 01234567", "2026-01-02 10:00:00 Build: exit status 2")]
    assert told(last=last | {"result": "Succeeded"}) == []
    runs = {"stage": "Approval", "action": "Approve", "deployment": "", "waits": "for you: approve"}
    assert told(last=last, release=runs) == [("release", "Approval/Approve", "waits for you: approve")]
