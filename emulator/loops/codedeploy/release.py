"""The lifecycle of an ECS blue/green deployment, from the first hook to the end of blue; and its undoing.

https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-steps-ecs.html#deployment-steps-what-happens
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

from botocore.exceptions import ClientError

from emulator.control import waits
from emulator.control.codedeploy.tables import Colour, Json, monotonic
from emulator.loops.codedeploy import hopeless, traffic
from emulator.loops.codedeploy.hooks import hook
from emulator.loops.codedeploy.notices import notify
from emulator.loops.codedeploy.run import Failed, Run, Steps, counts, is_primary

log = logging.getLogger("emulator.codedeploy")

_LONGEST_FAREWELL = 60.0  # seconds that a green is kept for those whom a listener still sends to it
_NEVER_HEALTHY = (
    "The deployment timed out while waiting for the replacement task set to become healthy. This time out period is 60 "
    "minutes."
)


def release(run: Run) -> Steps:
    service = _meet_blue(run)
    yield from hook(run, "BeforeInstall")
    yield from _install(run, service)
    yield from hook(run, "AfterInstall")
    if _route(run, "testTrafficRoute"):
        _allow_test_traffic(run)
        yield from hook(run, "AfterAllowTestTraffic")
    yield from _ready(run)
    yield from hook(run, "BeforeAllowTraffic")
    yield from _allow_traffic(run)
    yield from hook(run, "AfterAllowTraffic")
    yield from _wait_to_terminate(run)
    _terminate_blue(run)


def _route(run: Run, name: str) -> str | None:
    """The ARN of the production or the test listener."""
    (pair,) = run.deployment.group["loadBalancerInfo"]["targetGroupPairInfoList"]
    listeners = (pair.get(name) or {}).get("listenerArns") or [None]
    found: str | None = listeners[0]
    return found


def _meet_blue(run: Run) -> Json:
    """Finds what serves now, and clears away what an earlier deployment left behind."""
    service = run.describe_service()
    primary = next((each for each in service.get("taskSets", []) if is_primary(each)), None)
    if primary is None:
        raise Failed("INVALID_ECS_SERVICE", "The ECS service has no primary task set.")
    for other in service["taskSets"]:
        if not is_primary(other) and other["status"] != "DRAINING":
            run.delete_task_set(other["taskSetArn"])
    arn = primary["loadBalancers"][0]["targetGroupArn"]
    names = [each["name"] for each in _pair(run)]
    by_arn = {run.target_group(name): name for name in names}
    if arn not in by_arn:
        raise Failed(
            "INVALID_ECS_SERVICE",
            "The primary task set's target group is not in the deployment group's target group pair.",
        )
    blue = Colour("Blue", primary["taskSetArn"], primary["id"], by_arn[arn], 100.0, counts(primary), "PRIMARY")
    with run.change() as deployment:
        deployment.colours = [blue]
    return service


def _pair(run: Run) -> list[Json]:
    (pair,) = run.deployment.group["loadBalancerInfo"]["targetGroupPairInfoList"]
    groups: list[Json] = pair["targetGroups"]
    return groups


def _install(run: Run, service: Json) -> Steps:
    """Green beside blue, without traffic, until every task of it is healthy."""
    run.begin("Install")
    blue = _colour(run, "Blue")
    (name,) = (each["name"] for each in _pair(run) if each["name"] != blue.target_group)
    _remember_listeners(run, name)
    made = run.create_task_set(_green(run, service, name))
    green = Colour("Green", made["taskSetArn"], made["id"], name, 0.0, counts(made))
    with run.change() as deployment:
        deployment.colours.append(green)
    yield from _until(lambda: _serves(run), _NEVER_HEALTHY)
    run.end("Install")


def _green(run: Run, service: Json, target_group: str) -> Json:
    spec = run.deployment.spec
    blue = next(each for each in service["taskSets"] if is_primary(each))
    wanted: Json = {
        "externalId": run.deployment.id,
        "taskDefinition": spec["task_definition"],
        "scale": {"value": 100.0, "unit": "PERCENT"},
        "loadBalancers": [{
            "targetGroupArn": run.target_group(target_group),
            "containerName": spec["container_name"], "containerPort": spec["container_port"],
        }],
    }  # fmt: skip
    if spec.get("capacity_providers"):
        wanted["capacityProviderStrategy"] = spec["capacity_providers"]
    else:  # a strategy that the AppSpec does not repeat is lost, as on AWS
        wanted["launchType"] = blue.get("launchType") or "FARGATE"
    network = {"awsvpcConfiguration": spec["network"]} if spec.get("network") else blue.get("networkConfiguration")
    optional = {
        "networkConfiguration": network,
        "platformVersion": spec.get("platform_version") or blue.get("platformVersion"),
        "serviceRegistries": blue.get("serviceRegistries"),
    }
    return {**wanted, **{key: value for key, value in optional.items() if value}}


def _remember_listeners(run: Run, green: str) -> None:
    """Keeps both listeners as they are, and makes sure that green's health is checked before it has any traffic."""
    elbv2 = run.client("elbv2")
    production = str(_route(run, "prodTrafficRoute"))
    listeners = {arn: traffic.read(elbv2, arn) for arn in (production, _route(run, "testTrafficRoute")) if arn}
    weights = {run.target_group(_colour(run, "Blue").target_group): 100, run.target_group(green): 0}
    if not traffic.forwards_to(listeners[production], {next(iter(weights))}):
        raise Failed(
            "ELASTIC_LOAD_BALANCING_INVALID",
            "The ELB could not be updated due to the following error: Primary taskset target group "
            "must be behind listener",
        )
    with run.change() as deployment:
        deployment.listeners = listeners
    # A load balancer checks the health of the groups that a listener names, a weight of 0 included.
    if not any(traffic.forwards_to(actions, {run.target_group(green)}) for actions in listeners.values()):
        traffic.write(elbv2, production, traffic.weighted(listeners[production], weights))


def _serves(run: Run) -> bool:
    """Whether green is steady and every task of it is healthy behind the load balancer."""
    green = run.refresh().get("Green")
    if green is None:
        raise Failed("ECS_UPDATE_ERROR", "The replacement task set was deleted during the deployment.")
    desired = int(green["computedDesiredCount"])
    if green["stabilityStatus"] != "STEADY_STATE" or green["runningCount"] < desired:
        hopeless.check(run, green)
        return False
    return run.healthy_targets(run.target_group(_colour(run, "Green").target_group)) >= desired


def _colour(run: Run, label: str) -> Colour:
    found = run.colour(label)
    assert found is not None, f"{label} does not exist yet"
    return found


def _until(condition: Callable[[], bool], message: str) -> Steps:
    deadline = monotonic() + waits.seconds(waits.replacement_minutes())
    while not condition():
        if monotonic() > deadline:
            raise Failed("TIMEOUT", message)
        yield 0.5


def _allow_test_traffic(run: Run) -> None:
    run.begin("AllowTestTraffic")
    listener = str(_route(run, "testTrafficRoute"))
    weights = {run.target_group(_colour(run, label).target_group): int(label == "Green") for label in ("Green", "Blue")}
    traffic.write(run.client("elbv2"), listener, traffic.weighted(run.deployment.listeners[listener], weights))
    run.end("AllowTestTraffic")


def _ready(run: Run) -> Steps:
    """Where the group says so, waits for ContinueDeployment before production traffic moves."""
    option = run.deployment.group["blueGreenDeploymentConfiguration"]["deploymentReadyOption"]
    if option["actionOnTimeout"] != "STOP_DEPLOYMENT":
        return
    minutes = option.get("waitTimeInMinutes") or 0
    with run.change() as deployment:
        deployment.status, deployment.waiting = "Ready", "READY_WAIT"
    notify(run, "READY")
    yield from _wait(run, minutes)
    if not run.deployment.skip_wait:
        raise Failed(
            "TIMEOUT",
            "The deployment timed out while waiting for a notification to continue. This time out period is "
            f"{minutes} minutes.",
            status="Stopped",
        )
    with run.change() as deployment:
        deployment.status, deployment.waiting, deployment.skip_wait = "InProgress", None, False


def _wait(run: Run, minutes: float) -> Steps:
    deadline = monotonic() + waits.seconds(minutes)
    while monotonic() < deadline and not run.deployment.skip_wait:
        yield min(0.5, max(0.01, deadline - monotonic()))


def _allow_traffic(run: Run) -> Steps:
    run.begin("AllowTraffic")
    for percentage, minutes in shifts(run.deployment.config["trafficRoutingConfig"]):
        # Traffic never goes to a group that cannot serve it.
        yield from _until(lambda: _serves(run), _NEVER_HEALTHY)
        _shift(run, percentage)
        yield from _wait(run, minutes)
    run.make_primary(_colour(run, "Green").arn)
    run.refresh()
    run.end("AllowTraffic")


def shifts(routing: Json) -> Iterator[tuple[int, int]]:
    """(percentage of traffic to green, minutes to wait after it), the last one 100 and 0."""
    if routing["type"] == "TimeBasedCanary":
        canary = routing["timeBasedCanary"]
        yield canary["canaryPercentage"], canary["canaryInterval"]
    elif routing["type"] == "TimeBasedLinear":
        linear = routing["timeBasedLinear"]
        for percentage in range(linear["linearPercentage"], 100, linear["linearPercentage"]):
            yield percentage, linear["linearInterval"]
    yield 100, 0


def _shift(run: Run, percentage: int) -> None:
    listener = str(_route(run, "prodTrafficRoute"))
    blue, green = _colour(run, "Blue"), _colour(run, "Green")
    weights = {run.target_group(green.target_group): percentage, run.target_group(blue.target_group): 100 - percentage}
    traffic.write(run.client("elbv2"), listener, traffic.weighted(run.deployment.listeners[listener], weights))
    with run.change():
        blue.weight, green.weight = 100.0 - percentage, float(percentage)


def _wait_to_terminate(run: Run) -> Steps:
    ending = run.deployment.group["blueGreenDeploymentConfiguration"]["terminateBlueInstancesOnDeploymentSuccess"]
    with run.change() as deployment:
        deployment.waiting, deployment.termination_wait_started = "TERMINATION_WAIT", True
    yield from _wait(run, ending.get("terminationWaitTimeInMinutes") or 0)
    with run.change() as deployment:
        deployment.waiting = None


def _terminate_blue(run: Run) -> None:
    run.delete_task_set(_colour(run, "Blue").arn)
    run.refresh()


def undo(run: Run) -> Steps:
    """All traffic of both listeners back to blue, blue the service's primary task set again, and no green."""
    blue, green = run.colour("Blue"), run.colour("Green")
    had_visitors = green is not None and green.weight > 0
    for listener in run.deployment.listeners if blue else ():
        yield from _insist(partial(_only_blue, run, listener))
    with run.change():
        for colour in run.deployment.colours:
            colour.weight = 100.0 if colour is blue else 0.0
    if green and blue:
        if is_primary(run.refresh().get("Green")):
            yield from _insist(lambda: run.make_primary(blue.arn))
        if had_visitors:  # who sticks to green would get 503 from a green that is gone
            yield min(_LONGEST_FAREWELL, traffic.sticky_seconds(run.deployment.listeners.values()))
        yield from _insist(lambda: run.delete_task_set(green.arn))
        run.refresh()


def _only_blue(run: Run, listener: str) -> None:
    """Green stays attached, with a weight of 0: a target group that no listener names would not drain its targets."""
    blue = _colour(run, "Blue").target_group
    weights = {run.target_group(each["name"]): 100 if each["name"] == blue else 0 for each in _pair(run)}
    actions = run.deployment.listeners[listener]
    traffic.write(run.client("elbv2"), listener, traffic.weighted(actions, weights))


def _insist(act: Callable[[], None]) -> Steps:
    """Does it, and again when it fails: what was undone by halves would be worse than what failed."""
    for _ in range(20):
        try:
            return act()
        except ClientError as error:
            if "NotFound" in error.response["Error"]["Code"]:
                return None
            log.warning("undoing a deployment: %s; trying again", error)
            yield 1.0
    return None
