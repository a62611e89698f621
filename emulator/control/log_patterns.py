"""CloudWatch Logs filter patterns: terms, and comparisons of JSON fields.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from emulator.state.call import AwsError

Matches = Callable[[str], bool]
Test = Callable[[Any], bool]

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_TOKEN = re.compile(r'\s*(\$[\w.\[\]-]*|"(?:[^"\\]|\\.)*"|&&|\|\||[()]|!=|>=|<=|=|>|<|[^\s()=<>!&|]+)')
_ORDER: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_MISSING = object()


def pattern(text: str) -> Matches:
    """Whether a message matches; raises AwsError for what is no pattern."""
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        test = _Json(text[1:-1]).parse()
        return lambda message: _of_json(test, message)
    return _terms(text)


def _terms(text: str) -> Matches:
    """All plain terms, none with a minus, and one of those with a question mark."""
    wanted: dict[str, list[str]] = {"": [], "-": [], "?": []}
    for sign, phrase, word in _TERM.findall(text):
        wanted[sign].append(phrase or word)

    def matches(message: str) -> bool:
        if not all(term in message for term in wanted[""]) or any(term in message for term in wanted["-"]):
            return False
        return not wanted["?"] or any(term in message for term in wanted["?"])

    return matches


def _of_json(test: Test, message: str) -> bool:
    try:
        document = json.loads(message)
    except ValueError:
        return False
    return isinstance(document, dict) and test(document)


class _Json:
    """`$.a.b = "x" && ($.n > 3 || $.c IS NULL)`, by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)

    def parse(self) -> Test:
        test = self._any()
        if self._tokens:
            raise self._bad()
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._tokens[:1] == ["||"]:
            self._next()
            tests.append(self._all())
        return lambda document: any(test(document) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._tokens[:1] == ["&&"]:
            self._next()
            tests.append(self._one())
        return lambda document: all(test(document) for test in tests)

    def _one(self) -> Test:
        token = self._next()
        if token == "(":
            test = self._any()
            if self._next() != ")":
                raise self._bad()
            return test
        if not token.startswith("$"):
            raise self._bad()
        return self._comparison(_selector(token))

    def _comparison(self, select: Callable[[Any], Any]) -> Test:
        relation = self._next().upper()
        value = self._next()
        if relation == "NOT" and value.upper() == "EXISTS":
            return lambda document: select(document) is _MISSING
        if relation == "IS" and value.upper() in ("NULL", "TRUE", "FALSE"):
            expected = {"NULL": None, "TRUE": True, "FALSE": False}[value.upper()]
            return lambda document: select(document) is expected
        if relation in _ORDER:
            return lambda document: _ordered(_ORDER[relation], select(document), value)
        if relation in ("=", "!="):
            return lambda document: _equal(select(document), value) == (relation == "=")
        raise self._bad()

    def _next(self) -> str:
        if not self._tokens:
            raise self._bad()
        return str(self._tokens.pop(0))

    def _bad(self) -> AwsError:
        return AwsError("InvalidParameterException", f"Invalid filter pattern: {{{self._text}}}")


def _selector(path: str) -> Callable[[Any], Any]:
    steps = re.findall(r"[\w-]+", path)

    def select(document: Any) -> Any:
        for step in steps:
            if isinstance(document, list) and step.isdecimal() and int(step) < len(document):
                document = document[int(step)]
            elif isinstance(document, dict) and step in document:
                document = document[step]
            else:
                return _MISSING
        return document

    return select


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool) or value is None or value is _MISSING:
        return False
    if isinstance(value, int | float):
        return _number(wanted) == value
    return isinstance(value, str) and fnmatchcase(value, wanted.strip('"').replace("[", "[[]"))


def _ordered(compare: Callable[[float, float], bool], value: Any, wanted: str) -> bool:
    number = _number(wanted)
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and number is not None and compare(value, number)
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
