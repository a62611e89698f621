# ruff: noqa: E501 (a row of the table is a line)
"""The one table of settings: table, key, type, default, help, and what a value must satisfy.

A key of ``[network]``, ``[ecr]``, ``[secret]``, ``[ecs]``, ``[artifacts]`` or ``[pipeline]`` is a variable of the stack of that name with the same
default; a test compares the two. The checks repeat the variables' validations where a mistake would otherwise be seen
only after Terraform has started.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

Check = Callable[[Any], str]
TYPE_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list of texts",
              dict: "a table"}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """``default`` None means: not set, the stack decides."""

    table: str
    key: str
    type: type
    default: Any
    help: str
    check: Check | None = None

    @property
    def name(self) -> str:
        return f"{self.table}.{self.key}"

    @property
    def type_name(self) -> str:
        return TYPE_NAMES[self.type]

    def problem(self, value: Any) -> str:
        """What is wrong with ``value`` of the right type; empty when nothing is."""
        if self.type is list and not all(isinstance(item, str) for item in value):
            return f"{value!r} is not a list of texts"
        return self.check(value) if self.check else ""


def between(low: float, high: float) -> Check:
    return lambda value: "" if low <= value <= high else f"{value} is not between {low} and {high}"


def one_of(*known: Any) -> Check:
    return lambda value: "" if value in known else f"{value!r} is none of {', '.join(map(str, known))}"


def like(pattern: str, example: str) -> Check:
    return lambda value: "" if re.fullmatch(pattern, value) else f"'{value}' does not look like {example}"


def _cidrs(value: list[str]) -> str:
    for text in value:
        try:
            ip_network(text)
        except ValueError as error:
            return str(error)
    return "" if value else "is empty"


def _tags(value: dict[str, Any]) -> str:
    wrong = [key for key, text in value.items() if not isinstance(text, str)]
    return f"the value of '{wrong[0]}' is not a text" if wrong else ""


def _own_tags(value: dict[str, Any]) -> str:
    # IAM compares tag keys without case: a second 'environment' beside ours would fail in the middle of an apply.
    taken = [key for key in value if key.lower() in {"application", "environment", "managedby"}]
    return f"the tag '{taken[0]}' is the deployment's own" if taken else _tags(value)


def _build_args(value: dict[str, Any]) -> str:
    # The pipeline's build hands them on through a shell.
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z_]\w*=[A-Za-z0-9._:/@=+,-]*", f"{name}={text}"):
            return f"'{name}={text}' is not a name and a value of letters, digits and ._:/@=+,-"
    return ""


PORT = between(1, 65535)
# ECR takes no two hyphens in a row, a load balancer's name does not begin with "internal-", a security group's not with "sg-":
# the load balancer's is <name>-load-balancer.
NAME = like(
    r"(?!internal-|sg(-|$))(?=.{2,26}$)[a-z][a-z0-9]*(-[a-z0-9]+)*",
    "'chatbot' (2 to 26 lower-case letters, digits and single hyphens; not internal-…, sg or sg-…)",
)
REGION = like(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}", "'us-east-1'")
URL = like(r"(https?://[^\s/@]+(:\d+)?/?)?", "'http://localhost:4566'")
LOG_DAYS = one_of(
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
)  # fmt: skip
CONFIGS = [f"CodeDeployDefault.ECS{kind}" for kind in (
    "AllAtOnce", "Canary10Percent5Minutes", "Canary10Percent15Minutes", "Linear10PercentEvery1Minutes",
    "Linear10PercentEvery3Minutes")]  # fmt: skip
SIZES = tuple(f"BUILD_GENERAL1_{size}" for size in ("SMALL", "MEDIUM", "LARGE"))

# fmt: off

SETTINGS: tuple[Setting, ...] = (
    Setting("environment", "name", str, "", "Name of everything that is made; empty: chatbot-<environment>.", lambda value: NAME(value) if value else ""),
    Setting("environment", "region", str, "us-east-1", "AWS region.", REGION),
    Setting("environment", "endpoint_url", str, "", "Where the AWS APIs answer, such as the emulator; empty means AWS.", URL),
    Setting("environment", "account", str, "", "AWS account that it belongs to, refused in any other; empty: that of the credentials.", like(r"(\d{12})?", "123456789012")),
    Setting("environment", "profile", str, "", "Profile of the AWS configuration; empty means AWS's usual search for credentials."),
    Setting("environment", "state_bucket", str, "", "Bucket of the Terraform state, where each environment has a folder; empty means one of our own, made on first use.", like(r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?", "the name of a bucket")),
    Setting("environment", "tags", dict, {}, "More tags of everything.", _own_tags),

    Setting("network", "allow_http", bool, False, "Speak plain HTTP where there is no certificate_arn; conversations can then be read on their way."),
    Setting("network", "certificate_arn", str, None, "ACM certificate of domain_name: HTTPS, and port 80 redirects.", like(r"arn:[a-z-]+:acm:[a-z0-9-]+:\d{12}:certificate/.+", "arn:aws:acm:REGION:ACCOUNT:certificate/ID")),
    Setting("network", "deregistration_delay", int, 120, "Seconds to finish open requests; no shorter than the longest answer.", between(0, 3600)),
    Setting("network", "domain_name", str, None, "Name that people open, pointed at the load balancer by you.", like(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", "chat.example.com")),
    Setting("network", "health_check_healthy_threshold", int, 2, "Passed health checks in a row after which a target gets traffic.", between(2, 10)),
    Setting("network", "health_check_interval", int, 10, "Seconds between two health checks of one target.", between(5, 300)),
    Setting("network", "health_check_path", str, "/healthz", "Path of the health check.", like(r"/.*", "'/healthz'")),
    Setting("network", "health_check_timeout", int, 4, "Seconds after which a health check has failed; less than the interval.", between(2, 120)),
    Setting("network", "health_check_unhealthy_threshold", int, 3, "Failed health checks in a row after which a target gets no traffic.", between(2, 10)),
    Setting("network", "idle_timeout", int, 300, "Seconds that a silent connection stays open.", between(1, 4000)),
    Setting("network", "listener_stickiness_duration", int, 5, "Seconds that a client keeps its colour after a request; 0 is off.", between(0, 604800)),
    Setting("network", "production_port", int, None, "Port of the production listener; unset: 443 with a certificate, else 80.", PORT),
    Setting("network", "stickiness_duration", int, 3600, "Seconds that a client keeps its task.", between(1, 604800)),
    Setting("network", "subnet_ids", list, [], "Public subnets of the existing vpc_id."),
    Setting("network", "subnet_tags", dict, {}, "Tags that select the public subnets of vpc_id, instead of subnet_ids.", _tags),
    Setting("network", "test_cidrs", list, ["0.0.0.0/0"], "Who may open the test listener.", _cidrs),
    Setting("network", "test_port", int, 8080, "Port of the test listener, where a release is seen first.", PORT),
    Setting("network", "vpc_cidr", str, "10.0.0.0/16", "Addresses of the new VPC, /16 to /20.", lambda value: _cidrs([value])),
    Setting("network", "vpc_id", str, None, "Existing VPC; unset: a new one.", like(r"vpc-[0-9a-f]+", "vpc-0123456789abcdef0")),

    Setting("ecr", "force_delete", bool, False, "Let destroy delete the repository with its images; must have been applied before."),
    Setting("ecr", "keep_images", int, 30, "How many of the newest images are kept.", between(2, 100000)),

    Setting("image", "builder", str, "auto", "docker, codebuild, bundle (emulator only), or auto: docker where an engine answers, else codebuild on AWS and bundle on the emulator.", one_of("auto", "docker", "codebuild", "bundle")),
    Setting("image", "context", str, ".", "Folder that the Dockerfile copies from, relative to the checkout."),
    Setting("image", "dockerfile", str, "Dockerfile", "The Dockerfile, relative to the context."),
    Setting("image", "platform", str, "linux/amd64", "Platform of the image.", one_of("linux/amd64", "linux/arm64")),
    Setting("image", "target", str, "", "Stage of the Dockerfile that is built; empty: the last.", like(r"([A-Za-z0-9][A-Za-z0-9_.-]*)?", "the name after AS")),
    Setting("image", "build_args", dict, {}, "Build arguments (ARG) of the Dockerfile.", _build_args),

    Setting("secret", "recovery_days", int, 0, "Days in which a deleted token can be restored; 0 deletes at once.", one_of(0, *range(7, 31))),

    Setting("ecs", "alarm_5xx_threshold", int, 5, "Answers of 5xx from one colour in a minute that raise its alarm.", between(1, 1000000)),
    Setting("ecs", "alarm_evaluation_periods", int, 1, "Minutes in a row that an alarm's condition must hold.", between(1, 60)),
    Setting("ecs", "chatbot_backend", str, "auto", "Who answers: auto, embedded, huggingface or openai.", one_of("auto", "embedded", "huggingface", "openai")),
    Setting("ecs", "chatbot_base_url", str, "", "Base URL of an OpenAI-compatible server, or with huggingface of an Inference Endpoint.", like(r"(https?://[^\s@]+)?", "http://host:port/v1, without a user or password")),
    Setting("ecs", "chatbot_max_tokens", int, None, "Longest answer in tokens.", between(1, 1000000)),
    Setting("ecs", "chatbot_model", str, "", "Model to ask for."),
    Setting("ecs", "chatbot_rate_per_minute", float, None, "Requests that start work, per visitor and minute; 0 means no limit.", between(0, 1000000)),
    Setting("ecs", "chatbot_system_prompt", str, "", "What the model is told before a conversation."),
    Setting("ecs", "chatbot_temperature", float, None, "Temperature of the answers.", between(0, 2)),
    Setting("ecs", "chatbot_title", str, "", "Title of the page."),
    Setting("ecs", "chatbot_visitor_settings", list, [], "What a visitor may change: system_prompt, temperature, max_tokens, model."),
    Setting("ecs", "cpu", int, 512, "CPU units of a task; 1024 is one vCPU.", one_of(256, 512, 1024, 2048, 4096, 8192, 16384)),
    Setting("ecs", "cpu_target", int, 60, "Average CPU use in percent that autoscaling aims at.", between(10, 90)),
    Setting("ecs", "custom_deployment_config", dict, None, "A configuration of your own: type (canary, linear), percentage, interval_minutes."),
    Setting("ecs", "deployment_config", str, "CodeDeployDefault.ECSAllAtOnce", "How a release shifts production traffic.", one_of(*CONFIGS)),
    Setting("ecs", "desired_count", int, 2, "Tasks that the service starts with.", between(1, 1000)),
    Setting("ecs", "fargate_spot_weight", int, 0, "Share of tasks on FARGATE_SPOT.", between(0, 1000)),
    Setting("ecs", "fargate_weight", int, 1, "Share of tasks on FARGATE.", between(0, 1000)),
    Setting("ecs", "health_check_grace_period", int, 60, "Seconds after its start in which a task is not replaced.", between(0, 7200)),
    Setting("ecs", "hook", bool, True, "Hold a conversation with green before production traffic moves."),
    Setting("ecs", "log_retention_days", int, 30, "Days that the chatbot's log is kept.", LOG_DAYS),
    Setting("ecs", "max_capacity", int, 6, "Most tasks that autoscaling starts.", between(1, 1000)),
    Setting("ecs", "memory", int, 1024, "Memory of a task in MiB, a size that Fargate pairs with cpu.", between(512, 122880)),
    Setting("ecs", "min_capacity", int, 2, "Fewest tasks that autoscaling leaves.", between(1, 1000)),
    Setting("ecs", "stop_timeout", int, 60, "Seconds between SIGTERM and SIGKILL of a container.", between(2, 120)),
    Setting("ecs", "termination_wait_minutes", int, 5, "Minutes that blue stays after all traffic moved.", between(0, 2880)),

    Setting("artifacts", "force_destroy", bool, False, "Let destroy delete the artifact bucket with its contents; must have been applied before."),
    Setting("artifacts", "retention_days", int, 30, "Days that the pipeline's artifacts are kept.", between(1, 36500)),

    Setting("pipeline", "approval", bool, False, "Ask a person between Build and Deploy."),
    Setting("pipeline", "branch", str, "main", "Branch whose pushes are released.", like(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "the name of a git branch")),
    Setting("pipeline", "build_compute_type", str, SIZES[0], "Size of the machine that builds.", one_of(*SIZES)),
    Setting("pipeline", "build_image", str, None, "Image that the build runs in; unset: Amazon Linux 2023 of image.platform."),
    Setting("pipeline", "build_timeout_minutes", int, 20, "Minutes after which a build is stopped.", between(5, 2160)),
    Setting("pipeline", "connection_arn", str, None, "Connection to GitHub, already accepted.", like(r"arn:[a-z-]+:(codestar-connections|codeconnections):[a-z0-9-]+:\d{12}:connection/.+", "arn:aws:codeconnections:REGION:ACCOUNT:connection/ID")),
    Setting("pipeline", "github_repository", str, None, "OWNER/REPOSITORY on GitHub; unset: a CodeCommit repository.", like(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", "OWNER/REPOSITORY")),
    Setting("pipeline", "log_retention_days", int, 30, "Days that the build log is kept.", LOG_DAYS),
)
# fmt: on

TABLES: tuple[str, ...] = tuple(dict.fromkeys(setting.table for setting in SETTINGS))
_BY_NAME = {(setting.table, setting.key): setting for setting in SETTINGS}


def find(table: str, key: str) -> Setting | None:
    return _BY_NAME.get((table, key))
