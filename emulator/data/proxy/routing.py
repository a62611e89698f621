"""Rules: which actions belong to a request, and what redirect and fixed-response make of it.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from .answers import Answer, page
from .messages import BadMessage


@dataclass(frozen=True)
class Asked:
    """A request as far as rules look at it."""

    method: str
    host: str  # without the port
    path: str
    query: str
    client: str
    headers: Sequence[tuple[str, str]]  # names in lower case
    scheme: str  # http or https
    port: int  # the listener's


Test = Callable[[Asked], bool]


@dataclass(frozen=True)
class Share:
    """One target group of a forward action."""

    group: str
    weight: int


@dataclass(frozen=True)
class Forward:
    """Send the request to one of the groups; `sticky_seconds` is 0 without target-group stickiness."""

    shares: tuple[Share, ...]
    sticky_seconds: float = 0.0


@dataclass(frozen=True)
class Redirect:
    """Answer with another location: each part may hold #{protocol}, #{host}, #{port}, #{path}, #{query}."""

    status: int
    protocol: str
    host: str
    port: str
    path: str
    query: str

    def answer(self, asked: Asked) -> Answer:
        """The location always names its port, as ALB's does."""
        parts = {
            "protocol": asked.scheme,
            "host": asked.host,
            "port": str(asked.port),
            "path": asked.path.removeprefix("/"),
            "query": asked.query,
        }

        def fill(text: str) -> str:
            return re.sub(r"#\{(\w+)\}", lambda match: parts.get(match[1], match[0]), text)

        query = fill(self.query)
        location = f"{fill(self.protocol).lower()}://{fill(self.host)}:{fill(self.port)}{fill(self.path)}"
        return page(self.status, location=location + ("?" + query if query else ""))


@dataclass(frozen=True)
class Fixed:
    """Answer with this."""

    reply: Answer


Action = Forward | Redirect | Fixed


@dataclass(frozen=True)
class Rule:
    """Its action holds when every test does."""

    tests: tuple[Test, ...]
    action: Action

    def matches(self, asked: Asked) -> bool:
        return all(test(asked) for test in self.tests)


class Rules:
    """A listener's rules in the order of their priority, the default last."""

    def __init__(self, rules: Iterable[Mapping[str, Any]]) -> None:
        ordered = sorted(rules, key=_priority)
        if not ordered or _priority(ordered[-1]) != float("inf"):
            raise BadMessage("a listener needs a default rule")
        self._rules = [_rule(each) for each in ordered]

    def choose(self, asked: Asked) -> Action:
        """The action of the first rule that matches."""
        return next(rule.action for rule in self._rules if rule.matches(asked))

    def forwards(self) -> list[Forward]:
        """Every forward action."""
        return [rule.action for rule in self._rules if isinstance(rule.action, Forward)]

    def groups(self) -> set[str]:
        """ARNs of the target groups that a rule forwards to, whatever their weight."""
        return {share.group for forward in self.forwards() for share in forward.shares}


def _priority(rule: Mapping[str, Any]) -> float:
    value = str(rule.get("Priority", "default"))
    return float("inf") if value == "default" else int(value)


def _rule(rule: Mapping[str, Any]) -> Rule:
    try:
        return Rule(_tests(rule.get("Conditions") or ()), _action(rule["Actions"]))
    except BadMessage:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        priority = rule.get("Priority", "default")
        raise BadMessage(f"rule of priority {priority}: {type(error).__name__}: {error}") from error


# --- conditions


def _tests(conditions: Iterable[Mapping[str, Any]]) -> tuple[Test, ...]:
    return tuple(_test(condition) for condition in conditions)


def _test(condition: Mapping[str, Any]) -> Test:
    field = condition["Field"]
    build = _BUILDERS.get(field)
    if build is None:
        raise BadMessage(f"condition field '{field}' is not supported; supported: {', '.join(_BUILDERS)}")
    config = condition.get(_config_key(field)) or {"Values": condition.get("Values") or ()}
    if "Values" not in config:
        raise BadMessage(f"condition '{field}' needs Values")
    return build(config)


def _config_key(field: str) -> str:
    special = {"http-header": "HttpHeaderConfig", "http-request-method": "HttpRequestMethodConfig"}
    return special.get(field) or "".join(part.capitalize() for part in field.split("-")) + "Config"


def wildcard(pattern: str, *, case: bool) -> Callable[[str], bool]:
    """Match a whole text: * is any number of characters, ? is one."""
    translated = "".join({"*": ".*", "?": "."}.get(each) or re.escape(each) for each in pattern)
    compiled = re.compile(translated, re.DOTALL if case else re.DOTALL | re.IGNORECASE)
    return lambda text: compiled.fullmatch(text) is not None


def _any_of(patterns: Iterable[str], *, case: bool) -> Callable[[str], bool]:
    matchers = [wildcard(each, case=case) for each in patterns]
    return lambda text: any(matches(text) for matches in matchers)


def _path(config: Mapping[str, Any]) -> Test:
    matches = _any_of(config["Values"], case=True)
    return lambda asked: matches(asked.path)


def _host(config: Mapping[str, Any]) -> Test:
    matches = _any_of(config["Values"], case=False)
    return lambda asked: matches(asked.host)


def _header(config: Mapping[str, Any]) -> Test:
    name, matches = config["HttpHeaderName"].lower(), _any_of(config["Values"], case=False)
    return lambda asked: any(name == each and matches(value) for each, value in asked.headers)


def _method(config: Mapping[str, Any]) -> Test:
    methods = frozenset(config["Values"])
    return lambda asked: asked.method in methods


def _query(config: Mapping[str, Any]) -> Test:
    wanted = [
        (_any_of([each["Key"]], case=False) if each.get("Key") else None, _any_of([each["Value"]], case=False))
        for each in config["Values"]
    ]

    def test(asked: Asked) -> bool:
        pairs = parse_qsl(asked.query, keep_blank_values=True)
        return any(
            (key_matches is None or key_matches(key)) and value_matches(value)
            for key_matches, value_matches in wanted
            for key, value in pairs
        )

    return test


def _source(config: Mapping[str, Any]) -> Test:
    networks = [ipaddress.ip_network(each, strict=False) for each in config["Values"]]
    return lambda asked: any(ipaddress.ip_address(asked.client) in network for network in networks)


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], Test]] = {
    "path-pattern": _path,
    "host-header": _host,
    "http-header": _header,
    "http-request-method": _method,
    "query-string": _query,
    "source-ip": _source,
}


# --- actions


def _action(actions: Sequence[Mapping[str, Any]]) -> Action:
    if len(actions) != 1:
        raise BadMessage(f"a rule has one action here, not {len(actions)} (authenticate-* is not supported)")
    action = actions[0]
    match action["Type"]:
        case "forward":
            return _forward(action)
        case "redirect":
            return _redirect(action["RedirectConfig"])
        case "fixed-response":
            config = action["FixedResponseConfig"]
            body = str(config.get("MessageBody") or "").encode()
            content_type = str(config.get("ContentType") or "text/plain")
            if content_type.startswith("text/"):
                content_type += "; charset=utf-8"
            return Fixed(Answer(int(config["StatusCode"]), body, content_type))
        case other:
            raise BadMessage(f"action '{other}' is not supported; supported: forward, redirect, fixed-response")


def _forward(action: Mapping[str, Any]) -> Forward:
    config = action.get("ForwardConfig") or {}
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action["TargetGroupArn"]}]
    shares = tuple(Share(each["TargetGroupArn"], _weight(each.get("Weight"))) for each in groups)
    sticky = config.get("TargetGroupStickinessConfig") or {}
    seconds = float(sticky.get("DurationSeconds") or 3600) if _truth(sticky.get("Enabled")) else 0.0
    return Forward(shares, seconds)


def _weight(value: Any) -> int:
    return 1 if value is None else int(value)


def _truth(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _redirect(config: Mapping[str, Any]) -> Redirect:
    return Redirect(
        status=int(str(config["StatusCode"]).removeprefix("HTTP_")),
        protocol=config.get("Protocol") or "#{protocol}",
        host=config.get("Host") or "#{host}",
        port=str(config.get("Port") or "#{port}"),
        path=config.get("Path") or "/#{path}",
        query="#{query}" if config.get("Query") is None else config["Query"],
    )
