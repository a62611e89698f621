"""The state bucket: Terraform's state, our records of what was applied, and the deploy lock."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from orchestrator import names
from orchestrator.errors import AwsFailed, Locked, NotNow
from orchestrator.tools import ownership, process
from orchestrator.tools.aws import Aws, code, entries, explained, remedy_of

LOCK = "deploy.lock"
ABSENT = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})


@dataclass(frozen=True)
class State:
    """What a stack's state says of itself, and its one output."""

    serial: int
    lineage: str
    etag: str
    output: dict[str, Any] | None
    resources: tuple[dict[str, Any], ...]

    @property
    def identity(self) -> str:
        return f"{self.lineage}/{self.serial}/{self.etag}"

    @property
    def managed(self) -> list[dict[str, Any]]:
        return [resource for resource in self.resources if resource.get("mode") == "managed"]


class Bucket:
    """The bucket of one environment (``<name>-state-<account>-<region>`` unless set)."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._held = ""
        self._checked = False

    @property
    def _s3(self) -> Any:
        return self._aws.client("s3")

    @property
    def name(self) -> str:
        config = self._aws.config
        return str(config.get("environment", "state_bucket")) or names.state_bucket(config, self._aws.account())

    @property
    def is_ours(self) -> bool:
        """Whether the bucket is one that we make and may delete."""
        return not self._aws.config.get("environment", "state_bucket")

    def key(self, name: str) -> str:
        """Where something of ours lies: in a bucket that others may use too, below the environment's name."""
        return name if self.is_ours else f"{self._aws.config.prefix}/{name}"

    @property
    def sources(self) -> str:
        """The folder of what CodeBuild builds; its role may read nothing else of the bucket."""
        return self.key("sources")

    def exists(self) -> bool:
        from botocore.exceptions import ClientError

        with explained("s3:HeadBucket"):
            try:
                self._s3.head_bucket(Bucket=self.name)
                if self.is_ours and not self._checked:
                    self._check_owner()
                    self._checked = True
            except ClientError as error:
                if code(error) in ABSENT:
                    return False
                if code(error) == "403":
                    raise AwsFailed(
                        f"bucket {self.name} belongs to someone else or may not be read",
                        "set environment.state_bucket, or ask for s3 permissions on it",
                    ) from None
                raise
        return True

    def _check_owner(self) -> None:
        """A bucket of our own says by a tag which environment it is of: two of one name would undo each other."""
        # A run that was killed before it gave them left none.
        owner = ownership.tags(self._aws, "aws_s3_bucket", self.name).get("Environment", self._aws.config.name)
        if owner != self._aws.config.name:
            raise NotNow(
                f"the name '{self._aws.config.prefix}' is taken by environment '{owner}' (bucket {self.name})",
                "give each environment its own environment.name, or none: it is chatbot-<environment> then",
            )

    def ensure(self) -> bool:
        """Makes the bucket private, versioned and encrypted; whether it was made now."""
        if self.exists():
            return False
        region = self._aws.config.region
        options = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with explained("s3:CreateBucket"):
            with suppress(self._s3.exceptions.BucketAlreadyOwnedByYou):
                self._s3.create_bucket(Bucket=self.name, **options)
            self._s3.put_public_access_block(
                Bucket=self.name,
                PublicAccessBlockConfiguration=dict.fromkeys(
                    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
                ),
            )
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            self._s3.put_bucket_encryption(Bucket=self.name, ServerSideEncryptionConfiguration={"Rules": [rule]})
            self._s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
            config = self._aws.config
            named = {"Application": config.prefix, "ManagedBy": "orchestrator"} | config.tags
            tags = [{"Key": key, "Value": value} for key, value in named.items()]
            self._s3.put_bucket_tagging(Bucket=self.name, Tagging={"TagSet": tags})
        return True

    def read(self, key: str) -> tuple[dict[str, Any], str] | None:
        """The JSON object at ``key`` and its ETag; None when there is none."""
        from botocore.exceptions import ClientError

        with explained(f"s3:GetObject {key}"):
            try:
                answer = self._s3.get_object(Bucket=self.name, Key=self.key(key))
            except ClientError as error:
                if code(error) in ABSENT:
                    return None
                raise
            body = answer["Body"].read()
        try:
            return json.loads(body or b"{}"), answer["ETag"].strip('"')
        except json.JSONDecodeError:
            raise AwsFailed(
                f"s3://{self.name}/{self.key(key)} is not JSON", "restore an older version of the object"
            ) from None

    def write(self, key: str, value: dict[str, Any], **condition: str) -> str:
        body = json.dumps(value, indent=2, sort_keys=True).encode()
        with explained(f"s3:PutObject {key}"):
            answer = self._s3.put_object(
                Bucket=self.name, Key=self.key(key), Body=body, ContentType="application/json", **condition
            )
        return str(answer["ETag"]).strip('"')

    def remove(self, key: str) -> None:
        with explained(f"s3:DeleteObject {key}"):
            self._s3.delete_object(Bucket=self.name, Key=self.key(key))

    def state(self, stack: str) -> State | None:
        """The stack's state, read as it lies in S3: a tenth of the time of ``terraform output``."""
        found = self.read(f"{stack}.tfstate")
        if found is None:
            return None
        document, etag = found
        output = document.get("outputs", {}).get(stack, {}).get("value")
        resources = tuple(document.get("resources", ()))
        return State(document.get("serial", 0), document.get("lineage", ""), etag, output, resources)

    def record(self, phase: str) -> dict[str, Any] | None:
        found = self.read(f"phases/{phase}.json")
        return found[0] if found else None

    def put_record(self, phase: str, record: dict[str, Any]) -> None:
        self.write(f"phases/{phase}.json", record)

    def terraform_lock(self, stack: str) -> dict[str, Any] | None:
        """Terraform's own lock of the stack's state (S3 backend, use_lockfile)."""
        found = self.read(f"{stack}.tfstate.tflock")
        return found[0] if found else None

    def acquire(self, verb: str) -> str:
        """Takes the deploy lock by a conditional write; a line when a dead run's lock was taken over.

        A lock whose process on this host is gone is released; a living one's, or another host's, is refused.
        """
        body = process.identity() | {
            "who": _user(),
            "verb": verb,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if self._put_if(body, IfNoneMatch="*"):
            return ""
        found = self.read(LOCK)
        if found is None:
            return self.acquire(verb)
        holder, etag = found
        if holder.get("host") != body["host"] or process.lives(holder):
            raise Locked(
                f"{holder.get('who')} on {holder.get('host')} has been running '{holder.get('verb')}' "
                f"(pid {holder.get('pid')}) since {holder.get('since')}",
                f"wait for it; if that machine is gone: {self._aws.config.command('unlock')}",
            )
        if not self._put_if(body, IfMatch=etag):
            return self.acquire(verb)
        return (
            f"released the lock of a run that is gone: '{holder.get('verb')}' by {holder.get('who')}, "
            f"pid {holder.get('pid')}, since {holder.get('since')}"
        )

    def _put_if(self, body: dict[str, Any], **condition: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            answer = self._s3.put_object(
                Bucket=self.name,
                Key=self.key(LOCK),
                Body=json.dumps(body).encode(),
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            if code(error) in {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey"}:
                return False
            raise AwsFailed(f"s3:PutObject {LOCK} failed: {error}", remedy_of(code(error))) from None
        self._held = str(answer["ETag"]).strip('"')
        return True

    def release(self) -> None:
        """Gives the lock back, unless someone else's stands there by now."""
        found = self.read(LOCK) if self._held else None
        if found and found[1] == self._held:
            self.remove(LOCK)
        self._held = ""

    def force_unlock(self) -> dict[str, Any] | None:
        found = self.read(LOCK)
        if found:
            self.remove(LOCK)
        return found[0] if found else None

    def delete(self) -> None:
        """Deletes the bucket with everything in it; only for one that is ours."""
        with explained("s3:DeleteBucket"):
            empty(self._s3, self.name)
            self._s3.delete_bucket(Bucket=self.name)
        self._held = ""


def versions(s3: Any, name: str) -> Iterator[dict[str, str]]:
    """Every version and delete marker of every object, as DeleteObjects wants them."""
    for entry in entries(s3, "list_object_versions", "Versions", "DeleteMarkers", Bucket=name):
        yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}


def empty(s3: Any, name: str) -> None:
    """Deletes every version of every object; raises NotNow where S3 keeps some, by a lock on them or a policy."""
    left = versions(s3, name)
    with explained(f"s3:DeleteObjects {name}"):
        while objects := list(islice(left, 1000)):  # as many as one call takes
            kept = s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True}).get("Errors")
            if kept:
                said = f"{kept[0]['Key']}: {kept[0]['Message']}"
                raise NotNow(f"S3 keeps {len(kept)} objects of {name} ({said})", "delete them, then run it again")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "someone"
