"""What is looked for after a destroy, and what is known to stay."""

from __future__ import annotations

from orchestrator.site import Site
from orchestrator.tools import leaks


def test_the_accounts_own_roles_are_named_and_others_are_not(site: Site) -> None:
    iam = site.aws.client("iam")
    before = leaks.of_the_account(site.aws)
    for service, name in (("ecs", "AWSServiceRoleForECS"), ("support", "AWSServiceRoleForSupport")):
        if name not in before:
            iam.create_role(
                RoleName=name, Path=f"/aws-service-role/{service}.amazonaws.com/", AssumeRolePolicyDocument="{}"
            )
    assert leaks.of_the_account(site.aws) == ["AWSServiceRoleForECS"]


def test_what_only_begins_like_this_environments_is_another_ones(site: Site) -> None:
    iam, name, region = site.aws.client("iam"), site.config.prefix, site.config.region
    for role in (f"{name}-task-{region}", f"{name}-staging-task-{region}", f"{name}-task-eu-west-9"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    assert list(leaks.LOOKS["role"](site.aws, site.config)) == [f"{name}-task-{region}"]
    iam.delete_role(RoleName=f"{name}-task-{region}")
    assert list(leaks.LOOKS["role"](site.aws, site.config)) == []
