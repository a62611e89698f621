"""What is wrong between settings that are each right: the stacks' validations across variables, before they start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Mapping[str, Any]]
# Fargate's sizes: MiB of memory for CPU units (first, last, step).
MEMORY = {
    256: (512, 1024, 2048),
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
    8192: range(16384, 61441, 4096),
    16384: range(32768, 122881, 8192),
}


@dataclass(frozen=True)
class Rule:
    """``broken`` holds the values against each other; ``table.key`` is where the user should look."""

    table: str
    key: str
    broken: Callable[[Values], bool]
    problem: str
    remedy: str


def _production_port(network: Mapping[str, Any]) -> int:
    return int(network["production_port"] or (443 if network["certificate_arn"] else 80))


RULES = (
    Rule(
        "image", "builder",
        lambda v: v["image"]["builder"] == "bundle" and not v["environment"]["endpoint_url"],
        "a bundle image holds no Python and runs only on the emulator's process runtime, not on AWS",
        'set image.builder = "docker" (or "auto") and run a Docker engine, or set environment.endpoint_url',
    ),
    Rule(
        "environment", "profile",
        lambda v: bool(v["environment"]["endpoint_url"] and v["environment"]["profile"]),
        "a profile of AWS credentials is never sent to another endpoint",
        "drop environment.profile or environment.endpoint_url",
    ),
    Rule(
        "network", "test_port",
        lambda v: _production_port(v["network"]) == v["network"]["test_port"],
        "is the production port too",
        "choose two ports",
    ),
    Rule(
        "network", "health_check_timeout",
        lambda v: v["network"]["health_check_timeout"] >= v["network"]["health_check_interval"],
        "is not less than network.health_check_interval",
        "shorten the time-out or lengthen the interval",
    ),
    Rule(
        "network", "certificate_arn",
        lambda v: bool(v["network"]["certificate_arn"]) and not v["network"]["domain_name"],
        "needs network.domain_name: browsers compare the certificate with the name that they opened",
        "set network.domain_name",
    ),
    Rule(
        "network", "vpc_id",
        lambda v: bool(v["network"]["vpc_id"]) and not (v["network"]["subnet_ids"] or v["network"]["subnet_tags"]),
        "needs its public subnets: network.subnet_ids or network.subnet_tags",
        "name two subnets in different availability zones",
    ),
    Rule(
        "network", "subnet_ids",
        lambda v: bool(v["network"]["subnet_ids"] or v["network"]["subnet_tags"]) and not v["network"]["vpc_id"],
        "subnets belong to an existing VPC",
        "set network.vpc_id, or drop subnet_ids and subnet_tags",
    ),
    Rule(
        "network", "subnet_ids",
        lambda v: len(set(v["network"]["subnet_ids"])) == 1,
        "a load balancer stands in two availability zones",
        "name two different subnets or more",
    ),
    Rule(
        "network", "test_cidrs",
        lambda v: v["ecs"]["hook"] and "0.0.0.0/0" not in v["network"]["test_cidrs"],
        "keeps the release hook out, which calls the test listener from an address of AWS that nobody knows beforehand",
        'add "0.0.0.0/0", or set ecs.hook = false',
    ),
    Rule(
        "ecs", "memory",
        lambda v: v["ecs"]["memory"] not in MEMORY[v["ecs"]["cpu"]],
        "Fargate has no such memory for ecs.cpu",
        "; ".join(f"cpu {cpu}: {sizes[0]} to {sizes[-1]}" for cpu, sizes in MEMORY.items()),
    ),
    Rule(
        "ecs", "max_capacity",
        lambda v: v["ecs"]["max_capacity"] < v["ecs"]["min_capacity"],
        "is less than ecs.min_capacity",
        "raise max_capacity or lower min_capacity",
    ),
    Rule(
        "ecs", "desired_count",
        lambda v: not v["ecs"]["min_capacity"] <= v["ecs"]["desired_count"] <= v["ecs"]["max_capacity"],
        "lies outside ecs.min_capacity and ecs.max_capacity",
        "choose a count between the two",
    ),
    Rule(
        "ecs", "fargate_weight",
        lambda v: not v["ecs"]["fargate_weight"] + v["ecs"]["fargate_spot_weight"],
        "and ecs.fargate_spot_weight cannot both be 0",
        "give one of them a share",
    ),
    Rule(
        "ecs", "chatbot_backend",
        lambda v: v["ecs"]["chatbot_backend"] == "openai" and not v["ecs"]["chatbot_base_url"],
        "openai needs a server to ask",
        "set ecs.chatbot_base_url",
    ),
    Rule(
        "pipeline", "connection_arn",
        lambda v: bool(v["pipeline"]["connection_arn"]) and not v["pipeline"]["github_repository"],
        "needs the repository on the other side",
        "set pipeline.github_repository = \"OWNER/REPOSITORY\"",
    ),
    Rule(
        "network", "allow_http",
        lambda v: not v["network"]["certificate_arn"] and not v["network"]["allow_http"],
        "is false and there is no certificate: conversations and cookies over plain HTTP can be read on their way",
        "set network.certificate_arn and network.domain_name, or choose plain HTTP: network.allow_http = true",
    ),
)  # fmt: skip
