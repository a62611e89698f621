"""What the scheduler and the load balancer tell each other: where targets really are, and how they are."""

from __future__ import annotations

from dataclasses import dataclass, field

Target = tuple[str, str, int]  # target group ARN, id (an address of the VPC), port


@dataclass(frozen=True)
class Health:
    """A target's health in the words of DescribeTargetHealth; `reason` and `description` are empty when healthy."""

    state: str
    reason: str = ""
    description: str = ""


@dataclass
class Targets:
    """A table of the store.

    * `addresses`: (address in the VPC, port) to where it really listens ("127.0.0.1:43215"). The ECS scheduler writes
      it before it registers a target, and removes it after the task has gone. A target that is not in it (a test's
      own server on 127.0.0.1) is where its id says.
    * `registered`: by target group ARN, in the order of registration.
    * `health`: what the proxy found. `draining`: deregistered, but with open requests. In neither: unused.
    * `listeners`: the ports that are really bound, by listener ARN.
    """

    addresses: dict[tuple[str, int], str] = field(default_factory=dict)
    registered: dict[str, dict[Target, None]] = field(default_factory=dict)
    health: dict[Target, Health] = field(default_factory=dict)
    draining: set[Target] = field(default_factory=set)
    listeners: dict[str, int] = field(default_factory=dict)

    def address(self, identity: str, port: int) -> str:
        return self.addresses.get((identity, port), f"{identity}:{port}")

    def drop_group(self, arn: str) -> None:
        self.registered.pop(arn, None)
        self.draining = {target for target in self.draining if target[0] != arn}
        self.health = {target: health for target, health in self.health.items() if target[0] != arn}
