"""One build, from PROVISIONING to COMPLETED, in a thread of its own."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.codebuild.projects import PRINCIPAL
from emulator.control.codebuild.tables import Build, Phase, now
from emulator.control.events.bus import emit
from emulator.control.logstreams import LogStream
from emulator.data.builds import runner
from emulator.data.builds.artifacts import ArtifactError
from emulator.data.builds.buildspec import Buildspec, BuildspecError
from emulator.data.builds.shell import Interrupted, Shell
from emulator.loops.codebuild import environment, sources, uploads
from emulator.state.store import Store

log = logging.getLogger("emulator.codebuild")

_FLUSH_EVERY = 1.0  # seconds between two writes to the log stream


class Ended(Exception):
    """The build ends here: CodeBuild's status of its last phase, its code and its words."""

    def __init__(self, status: str, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def _folder(store: Store) -> Path:
    """Of all builds; an emulator that was killed may have left some."""
    folder = store.folder / "builds"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


class Work:
    def __init__(self, store: Store, build: Build) -> None:
        self._store, self._build = store, build
        self._folder = store.once(_folder) / build.id.replace(":", "-")
        self._began = time.monotonic()
        self._stream: LogStream | None = None
        self._flushed = 0.0

    def run(self) -> None:
        self._notify("IN_PROGRESS")
        status = "FAILED"
        try:
            status = "SUCCEEDED" if self._work() else "FAILED"
        except Ended as ended:
            status = self._close(ended.status, ended.code, str(ended))
        except Interrupted as interrupted:
            why = str(interrupted)
            code = "BUILD_TIMED_OUT" if why == "TIMED_OUT" else ""
            status = self._close(why, code, "Build has timed out. " if code else "")
        except Exception as error:  # a build that fails must end, whatever failed
            log.exception("build %s", self._build.id)
            status = self._close("FAILED", "CLIENT_ERROR", f"the emulator failed: {error!r}")
        self._finish(status)

    def _close(self, status: str, code: str, message: str) -> str:
        if message:
            self._line(f"Phase context status code: {code} Message: {message}")
        with self._store.change():
            self._build.leave(status, code, message)
        return "FAILED" if status == "CLIENT_ERROR" else status

    def _work(self) -> bool:
        self._enter("PROVISIONING")
        try:
            credentials = roles.assume(self._store, self._build.project["serviceRole"], PRINCIPAL)
        except roles.RoleRefused as error:
            raise Ended("FAILED", "ACCESS_DENIED", f"Service role: {error}") from error
        region = self._build.scope[1]
        if self._build.log:
            self._stream = LogStream(self._store, region, *self._build.log, credentials)
        s3 = self._store.clients("s3", region, credentials)
        self._enter("DOWNLOAD_SOURCE")
        self._line("Waiting for agent ping")
        self._line("Phase is DOWNLOAD_SOURCE")
        places, spec, variables = self._prepared(s3, credentials)
        self._check()
        shell = Shell(
            self._store.children, spec.shell, self._scratch(), places[""], variables, self._said, self._interrupted
        )
        try:
            return self._built(spec, shell, s3, places[""])
        finally:
            shell.close()

    def _prepared(self, s3: Any, credentials: Any) -> tuple[dict[str, Path], Buildspec, dict[str, str]]:
        self._folder.mkdir(parents=True)
        for name in ("home", "tmp"):
            (self._folder / name).mkdir()
        try:
            places = sources.download(self._store, self._build, s3, credentials, self._folder)
            self._line(f"CODEBUILD_SRC_DIR={places['']}")
            spec = sources.buildspec(self._build, s3, places[""])
            return places, spec, environment.complete(self._store, self._build, spec, credentials, places)
        except BuildspecError as error:
            raise Ended("FAILED", "YAML_FILE_ERROR", str(error)) from error
        except (sources.SourceError, environment.VariableError) as error:
            raise Ended("FAILED", "CLIENT_ERROR", str(error)) from error

    def _scratch(self) -> Path:
        found = self._folder / "shell"
        found.mkdir()
        return found

    def _built(self, spec: Buildspec, shell: Shell, s3: Any, source: Path) -> bool:
        succeeded, finished = runner.run(spec, shell, runner.Watcher(self._line, self._enter, self._left))
        self._export(spec, shell)
        if finished:
            self._enter("UPLOAD_ARTIFACTS")
            try:
                uploads.upload(self._build, spec, shell, s3, source)
            except (ArtifactError, ClientError) as error:
                raise Ended("FAILED", "CLIENT_ERROR", str(error)) from error
            self._line("Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED")
        return succeeded

    def _export(self, spec: Buildspec, shell: Shell) -> None:
        values = {name: shell.value(f'"${{{name}}}"') for name in spec.exported}
        with self._store.change():
            self._build.exported = {name: value for name, value in values.items() if value}

    def _enter(self, phase: str) -> None:
        with self._store.change():
            self._build.enter(phase)

    def _left(self, phase: str, failure: runner.Failure | None) -> None:
        with self._store.change():
            if failure:
                self._build.leave("FAILED", failure.code, failure.message)
            else:
                self._build.leave("SUCCEEDED")

    def _line(self, text: str) -> None:
        self._said(runner.stamped(text))

    def _said(self, line: str) -> None:
        if self._stream:
            self._stream.write([line])

    def _interrupted(self) -> str | None:
        """Asked while a command runs: "STOPPED", "TIMED_OUT" or nothing; a moment to write the log, too."""
        if time.monotonic() - self._flushed > _FLUSH_EVERY:
            self._flushed = time.monotonic()
            self._flush()
        if self._build.stop:
            return "STOPPED"
        # A build does real work: its own time-out is the one wait in minutes that no time scale shortens.
        late = time.monotonic() - self._began > self._build.project["timeoutInMinutes"] * 60
        return "TIMED_OUT" if late else None

    def _flush(self) -> None:
        if self._stream:
            self._stream.flush()
            self._build.logs = self._stream.is_there

    def _check(self) -> None:
        if why := self._interrupted():
            raise Interrupted(why)

    def _finish(self, status: str) -> None:
        self._flush()
        shutil.rmtree(self._folder, ignore_errors=True)
        with self._store.change():
            build = self._build
            build.enter("FINALIZING")
            build.leave("SUCCEEDED")
            build.phases.append(Phase("COMPLETED"))
            build.status, build.ended = status, now()
        self._notify(status)

    def _notify(self, status: str) -> None:
        """https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html"""
        build = self._build
        detail = {
            "build-status": status, "project-name": build.project["name"], "build-id": build.arn,
            "current-phase": build.phases[-1].name, "version": "1",
            "additional-information": {
                "initiator": build.initiator, "build-complete": build.over, "build-number": build.number,
                "source-version": build.source_version or "",
            },
        }  # fmt: skip
        emit(self._store, build.scope, "aws.codebuild", "CodeBuild Build State Change", detail, [build.arn])
