"""One deployment under way: who it acts as, and what it asks of ECS and of the load balancer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from emulator.control import roles
from emulator.control.codedeploy.groups import PRINCIPAL
from emulator.control.codedeploy.tables import Colour, Deployment, Json, now
from emulator.state.clients import Credentials
from emulator.state.store import Store

# A lifecycle as prose: each yield is the number of seconds after which it wants to go on.
Steps = Generator[float, None, None]


class Failed(Exception):
    """The deployment ends here. `code` is one of ErrorInformation's, `cause` an event of AutoRollbackConfiguration."""

    def __init__(
        self, code: str, message: str, *, cause: str = "DEPLOYMENT_FAILURE", status: str = "Failed",
        diagnostics: Json | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.code, self.cause, self.status, self.diagnostics = code, cause, status, diagnostics


class Run:
    """`steps` is the rest of the lifecycle, `failure` why it is being undone."""

    def __init__(self, store: Store, deployment: Deployment) -> None:
        self.store = store
        self.deployment = deployment
        self.steps: Steps | None = None
        self.failure: Failed | None = None
        self.due = 0.0
        self.alarms_due = 0.0
        self._known: dict[str, Json] = {}
        self._credentials: Credentials | None = None

    def client(self, service: str) -> Any:
        """A client with the credentials of the deployment group's service role, assumed once."""
        if self._credentials is None:
            self._credentials = roles.assume(self.store, self.deployment.group["serviceRoleArn"], PRINCIPAL)
        return self.store.clients(service, self.deployment.scope[1], self._credentials)

    @contextmanager
    def change(self) -> Iterator[Deployment]:
        with self.store.change():
            yield self.deployment
            self.deployment.changed = now()

    def begin(self, event: str) -> None:
        with self.change() as deployment:
            found = deployment.event(event)
            found.status, found.started = "InProgress", now()

    def end(self, event: str) -> None:
        with self.change() as deployment:
            found = deployment.event(event)
            found.status, found.ended = "Succeeded", now()

    # ECS

    @property
    def _service(self) -> Json:
        named = self.deployment.service
        return {"cluster": named["clusterName"], "service": named["serviceName"]}

    def describe_service(self) -> Json:
        found = self.client("ecs").describe_services(
            cluster=self._service["cluster"], services=[self._service["service"]]
        )["services"]
        if not found or found[0]["status"] == "INACTIVE":
            raise Failed("INVALID_ECS_SERVICE", f"The ECS service {self._service['service']} does not exist.")
        service: Json = found[0]
        return service

    def create_task_set(self, parameters: Json) -> Json:
        made: Json = self.client("ecs").create_task_set(**self._service, **parameters)["taskSet"]
        return made

    def make_primary(self, arn: str) -> None:
        self.client("ecs").update_service_primary_task_set(**self._service, primaryTaskSet=arn)

    def delete_task_set(self, arn: str) -> None:
        self.client("ecs").delete_task_set(**self._service, taskSet=arn, force=True)

    def refresh(self) -> dict[str, Json]:
        """The task sets of both colours as ECS has them now, by label; the target's counts follow."""
        colours = {colour.arn: colour for colour in self.deployment.colours}
        # AWSCodeDeployRoleForECS allows DescribeServices and not DescribeTaskSets.
        found = {each["taskSetArn"]: each for each in self.describe_service()["taskSets"]}
        with self.store.lock:
            for arn, colour in colours.items():
                task_set = found.get(arn)
                colour.status = task_set["status"] if task_set else "DELETED"
                colour.counts = counts(task_set or {})
        return {colours[arn].label: each for arn, each in found.items() if arn in colours}

    def colour(self, label: str) -> Colour | None:
        return next((colour for colour in self.deployment.colours if colour.label == label), None)

    # Load balancer

    def target_group(self, name: str) -> str:
        """The ARN of a target group."""
        if name not in self._known:
            (self._known[name],) = self.client("elbv2").describe_target_groups(Names=[name])["TargetGroups"]
        return str(self._known[name]["TargetGroupArn"])

    def healthy_targets(self, target_group: str) -> int:
        # ECS knows it by itself; CodeDeploy's role is not asked to allow it.
        elbv2 = self.store.clients("elbv2", self.deployment.scope[1])
        answer = elbv2.describe_target_health(TargetGroupArn=target_group)
        states = [each["TargetHealth"]["State"] for each in answer["TargetHealthDescriptions"]]
        return states.count("healthy")


def is_primary(task_set: Json | None) -> bool:
    return bool(task_set) and (task_set or {}).get("status") == "PRIMARY"


def counts(task_set: Json) -> dict[str, int]:
    return {
        "desired": task_set.get("computedDesiredCount", 0),
        "pending": task_set.get("pendingCount", 0),
        "running": task_set.get("runningCount", 0),
    }
