"""How an emulator runs, as its command line says it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Config:
    """Where and how this emulator runs; `port` 0 becomes the real one once it listens."""

    port: int = 4566
    runtime: str = "auto"  # or "process", "docker": what tasks run in
    iam: str = "log"  # what happens to a call that its role's policies do not allow: log it, "enforce", or "off"
    region: str = "us-east-1"
    allow_hosts: tuple[str, ...] = ()  # names besides localhost by which it may be called
    allow_origins: tuple[str, ...] = ()  # web pages that may call it, as http://localhost:3000
    relays: set[str] = field(default_factory=set)  # addresses by which containers may call it, once there are any
    key: str = field(default="", repr=False)  # the secret that calls must be signed with; empty: "test"

    @property
    def url(self) -> str:
        """The endpoint as a client on this machine names it."""
        return f"http://localhost:{self.port}"
