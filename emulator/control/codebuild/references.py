"""What a source action hands to CodeBuild in place of files: where to clone from (CODEBUILD_CLONE_REF)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

_KIND = "CODEBUILD_CLONE_REF"


@dataclass(frozen=True)
class Reference:
    connection: str  # empty for a repository of CodeCommit
    repository: str
    commit: str
    branch: str

    def text(self) -> str:
        return json.dumps({"kind": _KIND, **asdict(self)})


def read(artifact: bytes) -> Reference | None:
    """None for an artifact that is files."""
    if not artifact.startswith(b"{"):
        return None
    try:
        found = json.loads(artifact)
        return Reference(**found) if found.pop("kind", None) == _KIND else None
    except (ValueError, TypeError):
        return None
