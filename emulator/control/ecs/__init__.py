"""Amazon ECS's API, in full: moto's own answers to it are inert. What runs is up to `emulator.loops.ecs`."""

from __future__ import annotations

from collections.abc import Callable

from emulator.control.ecs import (
    capacity,
    clusters,
    services,
    settings,
    tags,
    task_definitions,
    task_sets,
    tasks,
    unsupported,
)
from emulator.state.call import Answer, Call
from emulator.state.store import Store

OPERATIONS: dict[str, Callable[[Store, Call], Answer]] = {
    **unsupported.OPERATIONS,
    "CreateCluster": clusters.create_cluster,
    "DeleteCluster": clusters.delete_cluster,
    "DescribeClusters": clusters.describe_clusters,
    "ListClusters": clusters.list_clusters,
    "PutClusterCapacityProviders": capacity.put_cluster_capacity_providers,
    "UpdateCluster": clusters.update_cluster,
    "UpdateClusterSettings": clusters.update_cluster_settings,
    "DescribeCapacityProviders": capacity.describe_capacity_providers,
    "DeleteTaskDefinitions": task_definitions.delete_task_definitions,
    "DeregisterTaskDefinition": task_definitions.deregister_task_definition,
    "DescribeTaskDefinition": task_definitions.describe_task_definition,
    "ListTaskDefinitionFamilies": task_definitions.list_task_definition_families,
    "ListTaskDefinitions": task_definitions.list_task_definitions,
    "RegisterTaskDefinition": task_definitions.register_task_definition,
    "CreateService": services.create_service,
    "DeleteService": services.delete_service,
    "DescribeServices": services.describe_services,
    "ListServices": services.list_services,
    "UpdateService": services.update_service,
    "CreateTaskSet": task_sets.create_task_set,
    "DeleteTaskSet": task_sets.delete_task_set,
    "DescribeTaskSets": task_sets.describe_task_sets,
    "UpdateServicePrimaryTaskSet": task_sets.update_service_primary_task_set,
    "UpdateTaskSet": task_sets.update_task_set,
    "DescribeTasks": tasks.describe_tasks,
    "ExecuteCommand": tasks.execute_command,
    "ListTasks": tasks.list_tasks,
    "RunTask": tasks.run_task,
    "StartTask": tasks.start_task,
    "StopTask": tasks.stop_task,
    "ListTagsForResource": tags.list_tags_for_resource,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "DeleteAccountSetting": settings.delete_account_setting,
    "ListAccountSettings": settings.list_account_settings,
    "PutAccountSetting": settings.put_account_setting,
    "PutAccountSettingDefault": settings.put_account_setting_default,
}
