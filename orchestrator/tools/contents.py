"""What a repository and a bucket hold: a destroy must not lose it by accident, and may on purpose.

Terraform deletes what is not empty only where a setting (``force_delete``) was applied before; here it is emptied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import NotNow
from orchestrator.tools import bucket
from orchestrator.tools.aws import Aws, entries, explained
from orchestrator.tools.bucket import State


@dataclass(frozen=True)
class Held:
    """Something that is not empty; ``setting`` would have let it be deleted all the same."""

    resource_type: str
    name: str
    setting: str

    def __str__(self) -> str:
        return f"{'repository' if self.resource_type == 'aws_ecr_repository' else 'bucket'} {self.name}"


def held(aws: Aws, states: Iterable[State | None]) -> list[Held]:
    """What Terraform would refuse to delete."""
    found = []
    for kind, values in _resources(states):
        if kind == "aws_ecr_repository" and not values.get("force_delete"):
            one = Held(kind, values["name"], "ecr.force_delete")
            inside = entries(aws.client("ecr"), "list_images", "imageIds", repositoryName=one.name)
        elif kind == "aws_s3_bucket" and not values.get("force_destroy"):
            one = Held(kind, values["bucket"], "artifacts.force_destroy")
            inside = bucket.versions(aws.client("s3"), one.name)
        else:
            continue
        found += [one] if any(True for _ in inside) else []
    return found


def empty(aws: Aws, one: Held) -> None:
    """Deletes every image, or every version of every object."""
    if one.resource_type == "aws_ecr_repository":
        _empty_repository(aws.client("ecr"), one.name)
    else:
        bucket.empty(aws.client("s3"), one.name)


def _empty_repository(ecr: Any, name: str) -> None:
    """An image that an index refers to can go once the index has gone, so what is left is asked for again."""
    with explained(f"ecr:BatchDeleteImage {name}"):
        left: list[Any] = []
        while images := list(entries(ecr, "list_images", "imageIds", repositoryName=name)):
            if images == left:
                raise NotNow(f"ECR keeps {len(left)} images of {name}", "delete them, then run it again")
            for start in range(0, len(images), 100):
                ecr.batch_delete_image(repositoryName=name, imageIds=images[start : start + 100])
            left = images


def _resources(states: Iterable[State | None]) -> Iterator[tuple[str, dict[str, Any]]]:
    for state in filter(None, states):
        for resource in state.managed:
            for instance in resource.get("instances", []):
                yield resource["type"], instance.get("attributes", {})
