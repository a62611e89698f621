"""One action under way: who it acts as, its artifacts, and its configuration with the variables in it."""

from __future__ import annotations

import io
import re
import secrets
import string
import zipfile
from collections.abc import Callable, Generator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.codebuild import references
from emulator.control.codebuild.references import Reference
from emulator.control.codepipeline.structure import PRINCIPAL
from emulator.control.codepipeline.tables import ActionRun, Execution
from emulator.state.clients import Credentials
from emulator.state.store import Store

# An action as prose: each yield is the number of seconds after which it wants to go on.
Steps = Generator[float, None, None]

_VARIABLE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")


class ActionFailed(Exception):
    """`code` is one of CodePipeline's: JobFailed, ConfigurationError, PermissionError, …"""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Action:
    def __init__(self, store: Store, execution: Execution, run: ActionRun) -> None:
        self.store, self.execution, self.run = store, execution, run
        self._credentials: Credentials | None = None
        self.configuration = resolved(run.declaration["configuration"], execution)
        run.configuration = self.configuration
        for artifact in run.declaration["inputArtifacts"]:
            run.inputs[artifact["name"]] = self._place(artifact["name"])

    @property
    def region(self) -> str:
        return str(self.run.declaration.get("region") or self.execution.scope[1])

    def client(self, service: str) -> Any:
        """A client with the credentials of the action's own role, or of the pipeline's."""
        return self.store.clients(service, self.region, self.credentials())

    def credentials(self) -> Credentials:
        role = self.run.declaration.get("roleArn") or self.execution.declaration["roleArn"]
        try:
            self._credentials = self._credentials or roles.assume(self.store, role, PRINCIPAL)
        except roles.RoleRefused as error:
            raise ActionFailed("PermissionError", f"CodePipeline cannot assume the role {role}: {error}") from error
        return self._credentials

    # Artifacts

    def fetch(self, artifact: str) -> bytes:
        """The zip of an input artifact."""
        bucket, key = self._place(artifact)
        try:
            body: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise ActionFailed("PermissionError", f"The artifact {artifact} could not be read: {error}") from error
        if references.read(body):
            raise ActionFailed(
                "ConfigurationError",
                f"The artifact {artifact} is a reference (CODEBUILD_CLONE_REF), which only CodeBuild actions can use.",
            )
        return body

    def file(self, artifact: str, path: str) -> bytes | None:
        """A file of an input artifact; None when there is none."""
        with zipfile.ZipFile(io.BytesIO(self.fetch(artifact))) as archive:
            try:
                return archive.read(path.removeprefix("./"))
            except KeyError:
                return None

    def _place(self, artifact: str) -> tuple[str, str]:
        if artifact not in self.execution.artifacts:
            raise ActionFailed("JobFailed", f"The artifact {artifact} was not made by an action before this one.")
        return self.execution.artifacts[artifact]

    def output(self, artifact: str) -> tuple[str, str]:
        """Where an output artifact is to go."""
        declared = self.execution.declaration
        store = declared.get("artifactStore") or declared["artifactStores"][self.region]
        name = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(7))
        return store["location"], f"{self.execution.pipeline[:20]}/{artifact[:10]}/{name}"

    def put_source(self, reference: Reference, archive: Callable[[], bytes]) -> None:
        """A source's one output: its files, or for CodeBuild alone where to clone them from."""
        if self.configuration.get("OutputArtifactFormat", "CODE_ZIP") == "CODEBUILD_CLONE_REF":
            self.put(self.only_output(), reference.text().encode(), "application/json")
        else:
            self.put(self.only_output(), archive())

    def put(self, artifact: str, body: bytes, kind: str = "application/zip") -> None:
        bucket, key = self.output(artifact)
        try:
            self.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind)
        except ClientError as error:
            raise ActionFailed("PermissionError", f"The artifact {artifact} could not be stored: {error}") from error
        self.made(artifact, (bucket, key))

    def made(self, artifact: str, place: tuple[str, str]) -> None:
        with self.store.change():
            self.run.outputs[artifact] = place
            self.execution.artifacts[artifact] = place

    def only_output(self) -> str:
        (artifact,) = self.run.declaration["outputArtifacts"]
        return str(artifact["name"])


def resolved(configuration: Mapping[str, str], execution: Execution) -> dict[str, str]:
    """`#{namespace.name}` replaced; https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-variables.html"""
    spaces = {
        **execution.namespaces,
        "variables": execution.variables,
        "codepipeline": {"PipelineExecutionId": execution.id},
    }

    def value(matched: re.Match[str]) -> str:
        space, name = matched.groups()
        if name not in spaces.get(space, {}):
            raise ActionFailed(
                "ConfigurationError", f"An action configuration refers to a variable that does not exist: {matched[0]}"
            )
        return spaces[space][name]

    return {key: _VARIABLE.sub(value, text) for key, text in configuration.items()}
