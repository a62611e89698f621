"""Each look-up of adoption finds what Terraform made: the same thing as the state says, on a whole deployment."""

from __future__ import annotations

import pytest

from orchestrator import config as configuration
from orchestrator.site import Site
from orchestrator.tools import adoption
from tests.e2e.machine import Machine

pytestmark = pytest.mark.e2e
STACKS = ["network", "ecr", "secret", "ecs", "artifacts", "pipeline"]


def _names(values: dict[str, object]) -> set[str]:
    """Everything that an import id of this resource may be made of."""
    names = {str(values.get(key)) for key in ("id", "arn", "name", "service_name", "repository_name")}
    if "route_table_id" in values:
        names.add(f"{values.get('subnet_id')}/{values['route_table_id']}")
        names.add(f"{values['route_table_id']}_{values.get('destination_cidr_block')}")
    if "deployment_group_name" in values:
        names.add(f"{values['app_name']}:{values['deployment_group_name']}")
    if "statement_id" in values:
        names.add(f"{values['function_name']}/{values['statement_id']}")
    if "cluster" in values:
        names.add(f"{str(values['cluster']).rpartition('/')[2]}/{values['name']}")
    return names


def test_every_look_up_finds_what_terraform_made(deployed: Machine) -> None:
    site = Site(configuration.load(deployed.environment, deployed.folder, (), {}), print)
    site.survey(STACKS, STACKS)
    looked_up = set()
    for stack in STACKS:
        state = site.states[stack]
        assert state is not None
        for resource in state.managed:
            for instance in resource["instances"]:
                if resource["type"] in adoption.FINDERS:
                    found = adoption.find(site.aws, resource["type"], instance["attributes"])
                    assert found in _names(instance["attributes"]), resource["type"]
                    looked_up.add(resource["type"])
    assert len(looked_up) > 15


def test_nothing_is_found_that_was_never_made(deployed: Machine) -> None:
    site = Site(configuration.load(deployed.environment, deployed.folder, (), {}), print)
    for kind, values in {
        "aws_ecr_repository": {"name": "nobody"},
        "aws_iam_role": {"name": "nobody"},
        "aws_lb": {"name": "nobody"},
        "aws_lb_target_group": {"name": "nobody"},
        "aws_secretsmanager_secret": {"name": "nobody"},
        "aws_vpc": {"tags_all": {"Name": "nobody"}},
        "aws_lb_listener": {"port": 80},
    }.items():
        assert adoption.find(site.aws, kind, values) is None, kind
