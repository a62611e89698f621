"""Errors as ECS words them."""

from __future__ import annotations

from emulator.state.call import AwsError


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def client(message: str) -> AwsError:
    return AwsError("ClientException", message)


def cluster_not_found() -> AwsError:
    return AwsError("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> AwsError:
    return AwsError("ServiceNotFoundException", "Service not found.")


def service_not_active() -> AwsError:
    return AwsError("ServiceNotActiveException", "Service was not ACTIVE.")


def task_set_not_found() -> AwsError:
    return AwsError("TaskSetNotFoundException", "The specified task set does not exist.")
