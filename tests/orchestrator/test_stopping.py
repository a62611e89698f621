"""A release is stopped wherever it is: in its build, between two stages, in its deployment, in an approval."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator import stopping
from orchestrator.errors import AwsFailed, NotNow
from orchestrator.site import Site
from tests.orchestrator.test_releases import TARGET, FakeApis, _action


class Apis(FakeApis):
    """With a stop, which may come too late or not be allowed (`refused`)."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""

    def _stop(self, operation: str, **asked: Any) -> None:
        if self.refused:
            raise ClientError({"Error": {"Code": self.refused, "Message": "no"}}, operation)
        self.made.append(asked)

    def stop_deployment(self, **asked: Any) -> None:
        self._stop("StopDeployment", **asked)

    def stop_pipeline_execution(self, **asked: Any) -> None:
        self._stop("StopPipelineExecution", **asked)


@pytest.fixture
def apis() -> Apis:
    return Apis()


@pytest.fixture
def here(site: Site, apis: Apis) -> Site:
    site.aws = apis  # type: ignore[assignment]
    return site


def test_a_stop_ends_the_pipeline_and_the_deployment_with_a_rollback(here: Site, apis: Apis) -> None:
    with pytest.raises(NotNow, match="no release is running"):
        stopping.stop(here, TARGET)
    apis.deployed(9, "InProgress")
    apis.executed(
        "e-9", "InProgress", "c" * 40, _action("Deploy", "InProgress", "CodeDeployToECS", externalExecutionId="d-9")
    )
    apis.running = ["d-9"]
    assert stopping.stop(here, TARGET) == "deployment d-9, pipeline execution e-9"
    assert apis.made[0] | {"reason": ""} == {
        "pipelineName": "chatbot", "pipelineExecutionId": "e-9", "abandon": False, "reason": ""
    }  # fmt: skip
    assert apis.made[1] == {"deploymentId": "d-9", "autoRollbackEnabled": True}


def test_a_deployment_that_begins_while_the_pipeline_is_stopped_is_stopped_too(
    here: Site, apis: Apis, monkeypatch: pytest.MonkeyPatch
) -> None:
    apis.executed("e-9", "InProgress", "c" * 40, _action("Deploy", "InProgress", "CodeDeployToECS"))

    def begins(_: float) -> None:
        apis.actions["e-9"] = [_action("Deploy", "InProgress", "CodeDeployToECS", externalExecutionId="d-9")]
        apis.deployed(9, "Created")
        apis.running = ["d-9"]

    monkeypatch.setattr("time.sleep", begins)
    assert stopping.stop(here, TARGET) == "deployment d-9, pipeline execution e-9"


@pytest.mark.parametrize("late", stopping.OVER)
def test_what_ends_by_itself_before_the_stop_arrives_is_no_error(here: Site, apis: Apis, late: str) -> None:
    apis.deployed(9, "InProgress")
    apis.executed("e-9", "InProgress", "c" * 40)
    apis.running, apis.refused = ["d-9"], late
    with pytest.raises(NotNow, match="no release is running"):
        stopping.stop(here, TARGET)


def test_any_other_refusal_is_told(here: Site, apis: Apis) -> None:
    apis.executed("e-9", "InProgress", "c" * 40)
    apis.refused = "AccessDeniedException"
    with pytest.raises(AwsFailed, match="AccessDenied"):
        stopping.stop(here, TARGET)


def test_an_approval_that_nobody_answers_is_abandoned(here: Site, apis: Apis) -> None:
    apis.executed("e-9", "InProgress", "c" * 40, _action("Approval", "InProgress", "Manual"))
    assert stopping.stop(here, TARGET) == "pipeline execution e-9"
    assert apis.made[0]["abandon"] is True


def test_a_rollback_is_no_release_and_is_left_alone(here: Site, apis: Apis) -> None:
    apis.deployed(9, "InProgress", creator="codeDeployRollback")
    apis.running = ["d-9"]
    with pytest.raises(NotNow, match="no release is running"):
        stopping.stop(here, TARGET)
