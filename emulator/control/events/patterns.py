"""Event patterns: which events a rule matches.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_MISSING = object()


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """Whether every field of `pattern` has a matcher that the event's field satisfies."""
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(matches(each, event) for each in wanted):
                return False
            continue
        found = event.get(key, _MISSING) if isinstance(event, dict) else _MISSING
        if isinstance(wanted, dict):
            # A field of a list of objects matches where one of them does; a missing one only "exists: false".
            candidates = found if isinstance(found, list) else [{} if found is _MISSING else found]
            if not any(matches(wanted, each) for each in candidates):
                return False
        elif not any(_matches(each, found) for each in wanted):
            return False
    return True


def _matches(matcher: Any, found: Any) -> bool:
    if isinstance(matcher, dict):
        ((name, argument),) = matcher.items()
        if name == "exists":
            return bool(argument) == (found is not _MISSING)
        if name == "anything-but":
            return found is not _MISSING and not any(_unwanted(argument, value) for value in _values(found))
        return any(_test(name, argument, value) for value in _values(found))
    return any(value == matcher and isinstance(value, bool) == isinstance(matcher, bool) for value in _values(found))


def _values(found: Any) -> Iterator[Any]:
    if found is not _MISSING:
        yield from found if isinstance(found, list) else [found]


def _unwanted(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        ((name, inner),) = argument.items()
        return any(_test(name, each, value) for each in (inner if isinstance(inner, list) else [inner]))
    return value in (argument if isinstance(argument, list) else [argument])


def _test(name: str, argument: Any, value: Any) -> bool:
    if name == "numeric":
        return _number(value) and all(
            _COMPARE[sign](value, limit) for sign, limit in zip(argument[::2], argument[1::2], strict=True)
        )
    if not isinstance(value, str):
        return False
    if isinstance(argument, dict):  # {"prefix": {"equals-ignore-case": "…"}}
        return _test(name, argument["equals-ignore-case"].lower(), value.lower())
    if name == "prefix":
        return value.startswith(str(argument))
    if name == "suffix":
        return value.endswith(str(argument))
    if name == "equals-ignore-case":
        return value.lower() == str(argument).lower()
    if name == "wildcard":
        return re.fullmatch(".*".join(map(re.escape, argument.split("*"))), value, re.DOTALL) is not None
    if name == "cidr":
        return _in_network(argument, value)
    return False


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_network(network: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network)
    except ValueError:
        return False
