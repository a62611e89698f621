"""ECR's lifecycle policies: which images of a repository a policy expires.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from emulator.data.registry import Image


def expired(policy: str, images: Sequence[Image], now: datetime) -> list[str]:
    """Digests to delete. An image belongs to the first rule that selects it: no later rule counts or expires it."""
    gone: list[str] = []
    left = [image for image in images if not _is_part(image, images)]
    for rule in sorted(json.loads(policy)["rules"], key=lambda rule: int(rule["rulePriority"])):
        selected = [image for image in left if _selects(rule["selection"], image)]
        gone += [image.digest for image in _too_many(rule["selection"], selected, now)]
        left = [image for image in left if image not in selected]
    return gone


def _selects(selection: dict[str, Any], image: Image) -> bool:
    status = selection["tagStatus"]
    if status == "any":
        return True
    if status == "untagged":
        return not image.tags
    # Every prefix or pattern of the list must match some tag of the image.
    prefixes = selection.get("tagPrefixList", [])
    patterns = selection.get("tagPatternList", [])
    return all(any(tag.startswith(prefix) for tag in image.tags) for prefix in prefixes) and all(
        any(fnmatchcase(tag, pattern) for tag in image.tags) for pattern in patterns
    )


def _too_many(selection: dict[str, Any], images: list[Image], now: datetime) -> list[Image]:
    number = int(selection["countNumber"])
    newest_first = sorted(images, key=lambda image: image.pushed, reverse=True)
    if selection["countType"] == "imageCountMoreThan":
        return newest_first[number:]
    return [image for image in newest_first if now - image.pushed_at > timedelta(days=number)]


def _is_part(image: Image, images: Sequence[Image]) -> bool:
    """Whether an index names it: it goes when the index has gone."""
    return any(image.digest in other.children for other in images)
