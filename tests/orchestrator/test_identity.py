"""boto3 and Terraform find the same identity at the same place, whatever else the shell says of both."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from orchestrator.config import CHECKOUT, Config
from orchestrator.errors import BadCredentials
from orchestrator.site import Site
from orchestrator.tools import terraform_program
from orchestrator.tools.aws import Aws
from tests.orchestrator.conftest import Said

PROFILES = """
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = x
[work]
aws_access_key_id = AKIAWORK
aws_secret_access_key = x
[other]
aws_access_key_id = AKIAOTHER
aws_secret_access_key = x
"""
ROLES = """
[profile role]
role_arn = arn:aws:iam::999999999999:role/deployer
source_profile = work
"""
KEYS = {"AWS_ACCESS_KEY_ID": "AKIASHELL", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "t"}
ACCOUNTS = {key: str(number) * 12 for number, key in enumerate(
    ["AKIADEFAULT", "AKIAWORK", "AKIAOTHER", "AKIASHELL", "ASIAROLE", "ASIAWEB"], 1)}  # fmt: skip


class Sts(BaseHTTPRequestHandler):
    """Says whose key a call was signed with, by its account."""

    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        [action] = asked["Action"]
        signed = re.search(r"Credential=(\w+)/", self.headers.get("Authorization", ""))
        if action == "GetCallerIdentity":
            account = ACCOUNTS[signed[1]] if signed else ""
            inside = f"<Account>{account}</Account><Arn>arn:aws:iam::{account}:user/u</Arn><UserId>U</UserId>"
        else:
            key = "ASIAROLE" if action == "AssumeRole" else "ASIAWEB"
            inside = (
                f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>t"
                "</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
                "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/d/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>"
            )
        body = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{inside}</{action}Result>'
            f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Its URL; and a machine whose AWS configuration has four profiles, with nothing in the shell."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for variable, name, text in (
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", PROFILES), ("AWS_CONFIG_FILE", "config", ROLES),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    # For once something that answers on this machine is AWS, and not an emulator that knows one identity.
    monkeypatch.setattr(Config, "endpoint_is_loopback", False)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def of(config: Config, **environment: str) -> Config:
    return replace(config, values={**config.values, "environment": {**config.values["environment"], **environment}})


WEB = {"AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/web", "AWS_ROLE_SESSION_NAME": "session"}
CASES: dict[str, tuple[str, dict[str, str], str]] = {
    "a profile": ("work", {}, "AKIAWORK"),
    "a profile, and keys in the shell": ("work", KEYS, "AKIAWORK"),
    "a profile, and another in the shell": ("work", {"AWS_PROFILE": "other"}, "AKIAWORK"),
    "a profile, and a web identity in the shell": ("work", WEB, "AKIAWORK"),
    "a profile with a role, and keys in the shell": ("role", KEYS, "ASIAROLE"),
    "nothing": ("", {}, "AKIADEFAULT"),
    "keys": ("", KEYS, "AKIASHELL"),
    "keys, and a profile in the shell": ("", KEYS | {"AWS_PROFILE": "other"}, "AKIASHELL"),
    "two profiles in the shell": ("", {"AWS_PROFILE": "other", "AWS_DEFAULT_PROFILE": "work"}, "AKIAWORK"),
    "a role in the shell": ("", {"AWS_PROFILE": "role"}, "ASIAROLE"),
    "a web identity in the shell": ("", WEB, "ASIAWEB"),
    "endpoints in the shell": ("", dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"), "http://localhost:9"),
                               "AKIADEFAULT"),
}  # fmt: skip


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], Path, dict[str, str]]]:
    """Terraform with the provider, in a folder that asks who it is."""
    folder = tmp_path_factory.mktemp("identity")
    lock = CHECKOUT / "terraform/stacks/network/.terraform.lock.hcl"
    mirror = terraform_program.mirror(terraform_program.locked_version(lock))
    (folder / "terraform.rc").write_text(terraform_program.cli_config(mirror, folder / "cache"))
    (folder / "cache").mkdir()
    (folder / ".terraform.lock.hcl").write_text(lock.read_text())
    (folder / "main.tf").write_text(
        'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws", version = "5.100.0" }\n  }\n}\n'
        'variable "sts" {}\nprovider "aws" {\n  region = "us-east-1"\n  endpoints {\n    sts = var.sts\n  }\n}\n'
        'data "aws_caller_identity" "this" {}\n'
        'output "account" {\n  value = data.aws_caller_identity.this.account_id\n}\n'
    )
    variables = {"TF_CLI_CONFIG_FILE": str(folder / "terraform.rc")}
    program = list(terraform_program.find().command)
    subprocess.run(
        [*program, "init", "-input=false"], cwd=folder, env=variables | {"PATH": "/usr/bin:/bin"}, check=True
    )
    yield program, folder, variables


# Each case starts Terraform and its provider once: the rest of them goes over to the slow gate.
QUICK = ("a profile with a role, and keys in the shell", "two profiles in the shell", "endpoints in the shell")
SLOW = pytest.mark.slow(group="foreign")


@pytest.mark.terraform
@pytest.mark.parametrize("case", [case if case in QUICK else pytest.param(case, marks=SLOW) for case in CASES])
def test_terraform_is_who_boto3_is(
    case: str, config: Config, sts: str, terraform: tuple[list[str], Path, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    profile, shell, key = CASES[case]
    (tmp_path / "token").write_text("a token")
    if "AWS_ROLE_ARN" in shell:
        shell = shell | {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    aws = Aws(of(config, endpoint_url=sts, profile=profile))
    # boto3 asks STS for a role with a client of its own, to which the session's endpoint is nothing.
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts)
    assert aws.account() == ACCOUNTS[key]
    if "AWS_ENDPOINT_URL_STS" in shell:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", shell["AWS_ENDPOINT_URL_STS"])
    program, folder, variables = terraform
    done = subprocess.run(
        [*program, "plan", "-no-color", "-input=false", f"-var=sts={sts}"], cwd=folder,
        env=aws.environment() | variables, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert f'account = "{ACCOUNTS[key]}"' in done.stdout, done.stdout + done.stderr


def test_another_account_than_the_environments_is_refused_before_anything_is_asked(config: Config, sts: str) -> None:
    mine = of(config, endpoint_url=sts, profile="work", account=ACCOUNTS["AKIAWORK"])
    assert Aws(mine).account() == ACCOUNTS["AKIAWORK"]
    theirs = of(config, endpoint_url=sts, profile="work", account=ACCOUNTS["AKIAOTHER"])
    for service in ("s3", "ecs"):
        with pytest.raises(BadCredentials, match="belong to account 222222222222, the environment to 333333333333"):
            Aws(theirs).client(service)


def test_an_endpoint_in_the_shell_is_not_where_aws_is(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool would make a state bucket in the emulator, and Terraform everything else on AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://localhost:4567")
    aws = Aws(of(config, endpoint_url=""))
    assert "amazonaws.com" in aws._make("s3").meta.endpoint_url
    told = aws.environment()
    assert told["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] == "true" and not any("ENDPOINT_URL_S" in name for name in told)
    assert "AWS_ENDPOINT_URL" not in told


def test_every_stack_is_told_the_account(site: Site, said: Said) -> None:
    from orchestrator.stack_phase import StackWork

    assert StackWork("network")._inputs(site, {})["account"] == site.aws.account()
