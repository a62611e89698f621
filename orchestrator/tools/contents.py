"""What a repository and a bucket hold: a destroy must not lose it by accident, and may on purpose.

Terraform deletes what is not empty only where a setting (``force_delete``) was applied before; here it is emptied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import NotNow
from orchestrator.tools.aws import Aws, explained
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
            pages = _pages(aws.client("ecr"), "list_images", repositoryName=one.name)
            found += [one] if any(page.get("imageIds") for page in pages) else []
        elif kind == "aws_s3_bucket" and not values.get("force_destroy"):
            one = Held(kind, values["bucket"], "artifacts.force_destroy")
            pages = _pages(aws.client("s3"), "list_object_versions", Bucket=one.name)
            found += [one] if any(page.get("Versions") or page.get("DeleteMarkers") for page in pages) else []
    return found


def empty(aws: Aws, one: Held) -> None:
    """Deletes every image, or every version of every object."""
    if one.resource_type == "aws_ecr_repository":
        _empty_repository(aws.client("ecr"), one.name)
    else:
        _empty_bucket(aws.client("s3"), one.name)


def _empty_repository(ecr: Any, name: str) -> None:
    """An image that an index refers to can go once the index has gone, so what is left is asked for again."""
    with explained(f"ecr:BatchDeleteImage {name}"):
        left: list[Any] = []
        while images := [
            image for page in _pages(ecr, "list_images", repositoryName=name) for image in page["imageIds"]
        ]:
            if images == left:
                raise NotNow(f"ECR keeps {len(left)} images of {name}", "delete them, then run it again")
            for start in range(0, len(images), 100):
                ecr.batch_delete_image(repositoryName=name, imageIds=images[start : start + 100])
            left = images


def _empty_bucket(s3: Any, name: str) -> None:
    with explained(f"s3:DeleteObjects {name}"):
        for page in _pages(s3, "list_object_versions", Bucket=name):
            entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
            objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
            if objects:
                kept = s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True}).get("Errors")
                if kept:
                    said = f"{kept[0]['Key']}: {kept[0]['Message']}"
                    raise NotNow(f"S3 keeps {len(kept)} objects of {name} ({said})", "delete them, then run it again")


def _pages(client: Any, call: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    yield from client.get_paginator(call).paginate(**parameters)


def _resources(states: Iterable[State | None]) -> Iterator[tuple[str, dict[str, Any]]]:
    for state in filter(None, states):
        for resource in state.managed:
            for instance in resource.get("instances", []):
                yield resource["type"], instance.get("attributes", {})
