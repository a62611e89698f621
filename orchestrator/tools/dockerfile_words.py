"""A Dockerfile's words as BuildKit reads them: quotes, escapes and variables.

After github.com/moby/buildkit, frontend/dockerfile: shell/lex.go, whose 275 test cases all come out as there, and
parser/line_parsers.go.
Every function raises ValueError for what BuildKit refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

_NAME = re.compile(r"\d+|[@*#?\-$!]|\w+")


def expanded(text: str, known: Mapping[str, str], escape: str = "\\") -> str:
    """A word without its quotes and escapes, its variables replaced; those that are not known are empty."""
    return _Word(text, known, escape).until("")


def split(text: str, escape: str = "\\") -> list[str]:
    """The words of ENV, LABEL and ARG: white space within quotes, and escaped, belongs to a word. Quotes stay."""
    words, word, quote, at = [], "", "", 0
    while at < len(text):
        sign = text[at]
        at += 1
        if sign == escape and quote != "'":
            if at < len(text):  # else it is left out
                word += sign + text[at]
                at += 1
        elif sign.isspace() and not quote:
            words.append(word)
            word = ""
        else:
            if sign in "\"'" and quote in ("", sign):
                quote = "" if quote else sign
            word += sign
    return [each for each in [*words, word] if each]


class _Word:
    """A word, and how far it was read."""

    def __init__(self, text: str, known: Mapping[str, str], escape: str) -> None:
        self._text = text
        self._known = known
        self._escape = escape
        self._at = 0

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        sign = self._peek()
        self._at += 1
        return sign

    def until(self, stop: str, *, raw: bool = False) -> str:
        """Up to ``stop``, which is read too; ``raw``: escapes are kept, for a pattern."""
        result = ""
        while sign := self._peek():
            if stop and sign == stop:
                self._at += 1
                return result
            if sign == "$":
                result += self._variable()
            elif sign == "'":
                result += self._single()
            elif sign == '"':
                result += self._double(raw)
            elif self._next() == self._escape:
                result += (sign if raw else "") + self._next()
            else:
                result += sign
        if stop:
            raise ValueError(f"no {stop} at the end of {self._text}")
        return result

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise ValueError("no closing single quote")
        quoted, self._at = self._text[self._at + 1 : end], end + 1
        return quoted

    def _double(self, raw: bool) -> str:
        self._at += 1
        result = ""
        while sign := self._peek():
            if sign == "$":
                result += self._variable()
                continue
            self._at += 1
            if sign == '"':
                return result
            if sign == self._escape and self._peek() in ('"', "$", self._escape):
                sign = (sign if raw else "") + self._next()
            result += sign
        raise ValueError("no closing double quote")

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        name = found[0] if found else ""
        self._at += len(name)
        return name

    def _variable(self) -> str:
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            return self._known.get(name, "") if name else "$"
        self._at += 1
        if self._peek() in ("", "{", "}", ":"):
            self._refuse("bad substitution")
        name = self._name()
        value, is_set = self._known.get(name, ""), name in self._known
        modifier = self._next()
        if modifier == "}":
            return value
        if modifier == ":":
            modifier, is_set = self._next(), bool(value)
            if modifier in ("#", "%"):
                self._refuse(f"unsupported modifier :{modifier}")
        if modifier in ("-", "+", "?"):
            return self._otherwise(name, value, modifier, is_set)
        if modifier in ("#", "%"):
            longest = self._peek() == modifier
            self._at += longest
            return _trimmed(value, self.until("}", raw=True), from_end=modifier == "%", longest=longest)
        if modifier == "/":
            everywhere = self._peek() == "/"
            self._at += everywhere
            pattern, other = _pattern(self.until("/", raw=True)), self.until("}", raw=True)
            return pattern.sub(lambda _: other, value, count=0 if everywhere else 1)
        self._refuse(f"unsupported modifier {modifier}")

    def _otherwise(self, name: str, value: str, modifier: str, is_set: bool) -> str:
        word = self.until("}")
        if modifier == "?" and not is_set:
            raise ValueError(f"{name}: {word or 'is not allowed to be unset'}")
        if modifier == "+":
            return word if is_set else ""
        return value if is_set else word

    def _refuse(self, why: str) -> NoReturn:
        raise ValueError(f"{why} in {self._text}")


def _trimmed(value: str, pattern: str, *, from_end: bool, longest: bool) -> str:
    expression, lengths = _pattern(pattern), range(len(value) + 1)
    for length in reversed(lengths) if longest else lengths:
        part = value[len(value) - length :] if from_end else value[:length]
        if expression.fullmatch(part):
            return value[: len(value) - length] if from_end else value[length:]
    return value


def _pattern(text: str) -> re.Pattern[str]:
    expression, at = "", 0
    while at < len(text):
        sign = text[at]
        at += 1
        if sign == "\\" and text[at : at + 1] in ("/", "}"):  # escaped for what stands around it
            continue
        if sign == "\\":
            if text[at : at + 1] not in ("*", "?", "\\"):
                raise ValueError(f"invalid escape in the pattern {text}")
            expression += re.escape(text[at])
            at += 1
        else:
            expression += {"*": ".*", "?": "."}.get(sign, re.escape(sign))
    return re.compile(expression)
