"""What CreateService, UpdateService and CreateTaskSet refuse."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from emulator.control.ecs import errors
from emulator.control.ecs.tables import Service, TaskDefinition
from emulator.state.call import AwsError, Call
from emulator.state.store import Store

CONTROLLERS = ("ECS", "CODE_DEPLOY", "EXTERNAL")
_CODE_DEPLOY_HINT = "Use AWS CodeDeploy to trigger a new deployment."
# What only a new deployment can change: the parameter, and how the refusal calls it.
_DEPLOYED = {
    "taskDefinition": "task definition",
    "networkConfiguration": "network parameters",
    "platformVersion": "platform version",
    "loadBalancers": "load balancers",
    "capacityProviderStrategy": "capacity provider strategy",
    "serviceRegistries": "service registries",
}
_UNSUPPORTED = (
    "gatewayConnectors", "monitoring", "serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"
)  # fmt: skip


def check_supported(parameters: dict[str, Any]) -> None:
    """What would be kept and never come true is refused by name."""
    for key in _UNSUPPORTED:
        given = parameters.get(key)
        if given and not (isinstance(given, dict) and given.get("enabled") is False):
            raise AwsError("UnsupportedFeatureException", f"the emulator does not support {key} of an ECS service")


def check_create(call: Call, definition: TaskDefinition | None) -> None:
    parameters = call.parameters
    check_supported(parameters)
    controller = controller_of(parameters)
    if controller not in CONTROLLERS:
        raise errors.invalid(f"deploymentController type should be one of [{', '.join(CONTROLLERS)}]")
    if parameters.get("schedulingStrategy") == "DAEMON":
        raise errors.invalid("The daemon scheduling strategy is not supported for tasks using the FARGATE launch type.")
    if controller == "EXTERNAL" and (definition or parameters.get("launchType")):
        raise errors.invalid("Cannot specify a task definition or launch type for a service with an EXTERNAL deployment"
                             " controller.")  # fmt: skip
    if parameters.get("desiredCount") is None and controller != "EXTERNAL":
        raise errors.invalid("desiredCount should be specified.")
    check_count(parameters.get("desiredCount"))
    check_balancers(parameters.get("loadBalancers") or [], definition)
    check_grace(parameters.get("healthCheckGracePeriodSeconds"), bool(parameters.get("loadBalancers")))
    if controller == "CODE_DEPLOY":
        _check_code_deploy(parameters)
    check_role(parameters, definition)
    check_execute_command(parameters, definition, "service")


def check_execute_command(parameters: dict[str, Any], definition: TaskDefinition | None, what: str) -> None:
    """ECS Exec works with the task role's credentials."""
    if not parameters.get("enableExecuteCommand") or definition is None or definition.document.get("taskRoleArn"):
        return
    raise errors.invalid(
        f"The {what} couldn't be created because a valid taskRoleArn is not being used. Specify a valid task role in"
        " your task definition and try again."
    )


def controller_of(parameters: dict[str, Any]) -> str:
    return str((parameters.get("deploymentController") or {}).get("type") or "ECS")


def check_count(count: int | None) -> None:
    if count is not None and not 0 <= count <= 5000:
        raise errors.invalid("desiredCount should be between 0 and 5000.")


def check_grace(seconds: int | None, balanced: bool) -> None:
    if seconds is not None and seconds > 0 and not balanced:
        raise errors.invalid("Health check grace period is only valid for services configured to use load balancers")


def check_balancers(balancers: list[dict[str, Any]], definition: TaskDefinition | None) -> None:
    """Every load balancer names a container and a port of the task definition."""
    if len(balancers) > 5:
        raise errors.invalid("load balancers can have at most 5 items.")
    for balancer in balancers:
        if not balancer.get("targetGroupArn"):
            raise errors.invalid("Load balancers must have a target group: tasks with network mode awsvpc cannot use a"
                                 " Classic Load Balancer.")  # fmt: skip
        name, port = balancer.get("containerName"), balancer.get("containerPort")
        if not name or port is None:
            raise errors.invalid("Container Name and Container Port should be set for the load balancer.")
        if definition is None:
            continue
        container = next((c for c in definition.containers if c["name"] == name), None)
        if not container:
            raise errors.invalid(f"The container {name} does not exist in the task definition.")
        if port not in [mapping.get("containerPort") for mapping in container["portMappings"]]:
            raise errors.invalid(f"The container {name} did not have a container port {port} defined.")


def _check_code_deploy(parameters: dict[str, Any]) -> None:
    if len(parameters.get("loadBalancers") or []) != 1:
        raise errors.invalid("Exactly one load balancer must be specified for a service with a CODE_DEPLOY deployment"
                             " controller.")  # fmt: skip
    configuration = parameters.get("deploymentConfiguration") or {}
    if (configuration.get("deploymentCircuitBreaker") or {}).get("enable"):
        raise errors.invalid("Deployment circuit breaker is only supported with the ECS deployment controller.")


def check_role(parameters: dict[str, Any], definition: TaskDefinition | None) -> None:
    awsvpc = definition is not None and definition.document.get("networkMode") == "awsvpc"
    if parameters.get("role") and awsvpc:
        raise errors.invalid("You cannot specify an IAM role for services that require a service linked role.")


def check_target_groups(store: Store, call: Call, balancers: list[dict[str, Any]]) -> None:
    """Every target group exists, takes addresses, and hangs at a load balancer."""
    elb = store.clients("elbv2", call.region)
    for balancer in balancers:
        arn = balancer["targetGroupArn"]
        try:
            group = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
        except (ClientError, IndexError):
            raise errors.invalid(f"Unable to assume role and validate the specified targetGroupArn {arn}. Please verify"
                                 " that the ECS service role has the proper permissions.") from None  # fmt: skip
        if group.get("TargetType") != "ip":
            raise errors.invalid(f"The provided target group {arn} has target type {group.get('TargetType')}, which is"
                                 " incompatible with the awsvpc network mode of the task definition.")  # fmt: skip
        if not group.get("LoadBalancerArns"):
            raise errors.invalid(
                f"The target group with targetGroupArn {arn} does not have an associated load balancer."
            )


def check_update(found: Service, parameters: dict[str, Any]) -> None:
    """A service that CodeDeploy deploys keeps everything that a deployment decides."""
    check_supported(parameters)
    wanted = controller_of(parameters) if parameters.get("deploymentController") else found.controller
    if wanted != found.controller:
        raise errors.invalid("Unable to update the deployment controller of a service.")
    if found.controller == "CODE_DEPLOY":
        for key, words in _DEPLOYED.items():
            if parameters.get(key):
                raise errors.invalid(f"Unable to update {words} on services with a CODE_DEPLOY deployment controller."
                                     f" {_CODE_DEPLOY_HINT}")  # fmt: skip
        if parameters.get("forceNewDeployment"):
            raise errors.invalid("Cannot force a new deployment on services with a CODE_DEPLOY deployment controller."
                                 f" {_CODE_DEPLOY_HINT}")  # fmt: skip
    if found.controller == "EXTERNAL" and any(parameters.get(key) for key in _DEPLOYED):
        raise errors.invalid("Services with an EXTERNAL deployment controller accept only desiredCount,"
                             " healthCheckGracePeriodSeconds and deploymentConfiguration.")  # fmt: skip
    check_count(parameters.get("desiredCount"))


def deployment_configuration(
    given: dict[str, Any] | None, controller: str, before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """With ECS's defaults; CODE_DEPLOY services have no circuit breaker."""
    complete: dict[str, Any] = {"maximumPercent": 200, "minimumHealthyPercent": 100}
    if controller == "ECS":
        complete["deploymentCircuitBreaker"] = {"enable": False, "rollback": False}
        complete["strategy"] = "ROLLING"
    complete |= before or {}
    complete |= {key: value for key, value in (given or {}).items() if value is not None}
    strategy = complete.get("strategy", "ROLLING")
    if strategy != "ROLLING":
        raise AwsError(
            "UnsupportedFeatureException", f"the emulator does not support the deployment strategy {strategy}"
        )
    low, high = complete["minimumHealthyPercent"], complete["maximumPercent"]
    if not 0 <= low <= 100 and controller == "ECS":
        raise errors.invalid("minimumHealthyPercent should be between 0 and 100.")
    if high < 100:
        raise errors.invalid("maximumPercent should be at least 100.")
    if low == 100 and high == 100 and controller == "ECS":
        raise errors.invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )
    return complete
