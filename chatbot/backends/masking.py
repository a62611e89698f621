"""What of a provider's words may go into the log: no secrets, no addresses inside, nothing that a visitor wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 300  # characters of one value
# By the prefixes that providers give them, after `Bearer`, half covered (`sk-ab***yz`), or as long as secrets are.
_SECRETS = re.compile(
    r"\b(?:(?:hf|gsk|fw|tgp|r8|api_org)_|(?:sk|pk)[-_])[\w*.-]{4,}"
    r"|\b(?:xai|nvapi|key|org|proj)[-_](?=\w*\d)[\w*-]{8,}"
    r"|\b(?:AKIA|ASIA|AIza)[\w-]{8,}|\beyJ[\w-]{8,}[\w.-]*|\b(?:bearer|basic)\s+[\w+/=.~-]{4,}"
    r"|[\w-]*\*{3,}[\w-]*|\b(?=\w*\d)(?=\w*[a-z])[a-z0-9_]{24,}",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)
_PUBLIC = re.compile(r"https://(?:[a-z0-9-]+\.)+[a-z]{2,}(?:/[\w./-]*)?", re.IGNORECASE)
_HOST = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b(?:[\w-]+\.)+(?:internal|local|lan|corp)\b(?::\d+)?", re.IGNORECASE
)
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_OVERLAP = 16  # characters that a message and a provider's words have in common are the message's


class Mask:
    """Hides `secrets` and what looks like one, addresses that are no public pages, and a conversation's own words."""

    def __init__(self, secrets: Iterable[str] = (), texts: Iterable[str] = ()) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._texts = [text for text in texts if text.strip()]

    def over(self, texts: Iterable[str]) -> Mask:
        """The same, over a conversation."""
        return Mask(self._secrets, texts)

    def __call__(self, words: str) -> str:
        words = " ".join(words[: 8 * LONGEST].split())[: 2 * LONGEST]
        for secret in self._secrets:
            words = words.replace(secret, "***")
        words = _ADDRESS.sub(lambda found: found[0] if _PUBLIC.fullmatch(found[0].rstrip(".,;:")) else "***", words)
        for pattern in (_HOST, _MAIL, _SECRETS):
            words = pattern.sub(lambda found: found[0] if _in_page(found) else "***", words)
        for text in self._texts:
            words = _without(words, " ".join(text.split()))
        return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _in_page(found: re.Match[str]) -> bool:
    """Whether it is a part of an address that was left standing: a public page's, that says what to do."""
    return any(page.start() <= found.start() < page.end() for page in _ADDRESS.finditer(found.string))


def _without(words: str, text: str) -> str:
    """With what they have in common left out: the whole text, or any _OVERLAP characters of it and more."""
    if len(text) >= 4:
        words = words.replace(text, "***")
    pieces = {text[at : at + _OVERLAP] for at in range(len(text) - _OVERLAP + 1)}
    kept, at = "", 0
    while at < len(words):
        end = at
        while words[end : end + _OVERLAP] in pieces:
            end += 1
        if end > at:
            kept, at = kept + "***", end + _OVERLAP - 1
        else:
            kept, at = kept + words[at], at + 1
    return kept
