"""The token: from standard input alone, never shown, and Terraform's placeholder stays in its sight."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator.config import CHECKOUT
from orchestrator.errors import Refused
from orchestrator.site import Site
from orchestrator.tools import secret

TOKEN = "hf_" + "x" * 34


@pytest.fixture
def name(site: Site) -> str:
    name = f"{site.config.prefix}/hf-token"
    site.aws.client("secretsmanager").create_secret(Name=name, SecretString=secret.PLACEHOLDER)
    return name


def test_a_placeholder_counts_as_not_set(site: Site, name: str) -> None:
    assert not secret.status(site.aws, name).is_set
    secret.put(site.aws, name, TOKEN)
    found = secret.status(site.aws, name)
    assert found.is_set and found.since
    assert TOKEN not in repr(found)


def test_the_placeholders_version_keeps_a_label_through_any_number_of_tokens(site: Site, name: str) -> None:
    client = site.aws.client("secretsmanager")
    placeholder = client.describe_secret(SecretId=name)["VersionIdsToStages"].copy().popitem()[0]
    for number in range(3):
        secret.put(site.aws, name, f"{TOKEN}{number}")
    stages = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    assert secret.LABEL in stages[placeholder]
    assert client.get_secret_value(SecretId=name)["SecretString"] == f"{TOKEN}2"


@pytest.mark.parametrize("text", ["", "  \n", "two words", "line\nbreak", "bell\a"])
def test_what_cannot_be_a_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Refused) as refused:
        secret.check(text)
    assert text.strip() == "" or text not in str(refused.value)


def test_the_newline_of_echo_is_not_part_of_the_token() -> None:
    assert secret.check(f"{TOKEN}\n") == TOKEN


def test_the_command_reads_standard_input_and_repeats_nothing_of_it(site: Site, name: str) -> None:
    site.bucket.ensure()
    output = {"name": name}
    site.bucket.write("secret.tfstate", {"serial": 1, "lineage": "l", "outputs": {"secret": {"value": output}}})
    more = ["--root", str(site.config.root), "--set", f"environment.name={site.config.prefix}"]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "secret", "set", "--unchecked", *more],
        cwd=CHECKOUT, input=TOKEN, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert secret.status(site.aws, name).is_set
