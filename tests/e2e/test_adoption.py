"""Each look-up of adoption finds what Terraform made: the same thing as the state says, on a whole deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator import config as configuration
from orchestrator import names
from orchestrator.errors import NotNow
from orchestrator.site import Site
from orchestrator.tools import adoption, ownership
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


def _made(site: Site) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each resource of the deployment: its type, and its attributes in the state."""
    site.survey(STACKS, STACKS)
    for stack in STACKS:
        state = site.states[stack]
        assert state is not None
        for resource in state.managed:
            for instance in resource["instances"]:
                yield resource["type"], instance["attributes"]


@pytest.fixture
def site(deployed: Machine) -> Site:
    return Site(configuration.load(deployed.environment, deployed.folder, (), {}), print)


def test_every_look_up_finds_what_terraform_made_and_nothing_of_another_owner(site: Site) -> None:
    looked_up, refused = set(), set()
    for kind, attributes in _made(site):
        if kind not in adoption.FINDERS:
            continue
        looked_up.add(kind)
        assert adoption.find(site.aws, kind, attributes) in _names(attributes), kind
        if kind in ownership.TAGS:
            refused.add(kind)
            planned = {**attributes, "tags_all": attributes["tags_all"] | {"Environment": "staging"}}
            with pytest.raises(NotNow, match="another's: Environment local"):
                adoption.find(site.aws, kind, planned)
    assert len(looked_up) > 15 and ownership.TAGS.keys() - refused == {"aws_codestarconnections_connection"}


def test_everything_that_has_a_name_has_one_that_is_known(site: Site) -> None:
    """What ``destroy`` looks for, and what is held against the services' rules, is what Terraform makes."""
    keys = ("bucket", "name", "alarm_name", "repository_name", "family", "function_name", "deployment_group_name")
    seen = set()
    for kind, attributes in _made(site):
        if kind in names.NAMES:
            given = {str(attributes[key]) for key in keys if attributes.get(key)}
            known = names.of(site.config, site.aws.account(), kind)
            assert given & known, (kind, given)
            seen |= given & known
    expected = {name for kind in names.NAMES for name in names.of(site.config, site.aws.account(), kind)}
    unseen = {"/aws/ecs/containerinsights/chatbot/performance", "chatbot-linear-99-percent-1440-minutes"}
    assert expected - seen == unseen | {names.state_bucket(site.config, site.aws.account())}


def test_nothing_is_found_that_was_never_made(site: Site) -> None:
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
