"""What the phase ``image`` does: build, push, answer the digest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import DeployError, ImageFailed
from orchestrator.site import Answers, Outcome, Site
from orchestrator.tools import codebuild, engine, image
from orchestrator.tools.aws import code, explained
from orchestrator.tools.image_source import Source
from orchestrator.tools.terraform_events import Listener, Progress


@dataclass(frozen=True)
class ImageWork:
    """Its record in the state bucket holds the answer; ECR is asked whether the image is still there."""

    name: str

    def prepare(self, site: Site) -> None:
        """Nothing to do ahead of its turn."""

    def answer(self, site: Site) -> dict[str, Any] | None:
        answer = site.record(self.name).get("answer")
        return dict(answer) if answer else None

    def stale(self, site: Site, needs: Answers) -> str:
        if site.rebuild:
            return "to be built anew"
        record = site.record(self.name)
        answer = record.get("answer")
        if record.get("status") != "applied" or not answer:
            return "not applied"
        if answer["uri"].partition("@")[0] != needs["ecr"]["repository_url"]:
            return "changed: the repository"
        # Terraform creates, CodeDeploy moves: once something was released, a changed source is the next release's.
        if not has_released(site) and record.get("fingerprint") != _fingerprint(site, _source(site)):
            return "changed: the source"
        return "" if _is_there(site, needs, answer["digest"]) else "the image is gone from the repository"

    def apply(
        self, site: Site, needs: Answers, listener: Listener, *, yes: bool, answered: Callable[[], None]
    ) -> Outcome:
        began = time.monotonic()
        source = _source(site)
        builder = image.choose(site.config.get("image", "builder"), site.config.endpoint_url)
        listener(Progress(0, 1, f"builds ({builder})"))
        built = _build(site, needs, source, builder, listener)
        seconds = time.monotonic() - began
        # What an image that was there already was built on is known only of our own.
        before = site.record(self.name)
        bases = before.get("bases", {}) if before.get("answer", {}).get("tag") == built.tag else {}
        site.put_record(
            self.name,
            {
                "status": "applied",
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(seconds, 1),
                "fingerprint": _fingerprint(site, source),
                "bases": dict(built.bases) or bases,
                "answer": {
                    "uri": built.uri,
                    "digest": built.digest,
                    "builder": built.builder,
                    "platform": source.platform,
                    "tag": built.tag,
                },
            },
        )
        listener(Progress(1, 1, built.tag))
        note = f"{built.tag}{'' if built.pushed else ', was there already'}"
        return Outcome(self.name, "applied" if built.pushed else "unchanged", note, seconds)

    def plan(self, site: Site, needs: Answers, listener: Listener) -> Outcome:
        why = self.stale(site, needs)
        return Outcome(self.name, "planned" if why else "unchanged", f"to build: {why}" if why else "no changes")

    def destroy(self, site: Site, needs: Answers, listener: Listener) -> Outcome:
        """The images go with their repository (``ecr.force_delete``); this machine's engine forgets its copies."""
        record = site.record(self.name)
        if not record:
            return Outcome(self.name, "skipped", "there is nothing")
        if record.get("answer", {}).get("builder") == "docker" and "ecr" in needs:
            with explained("ecr:GetAuthorizationToken"):
                image.forget(needs["ecr"]["repository_url"], site.aws.client("ecr"))
        site.put_record(self.name, {"status": "destroyed"})
        return Outcome(self.name, "destroyed", "goes with its repository")


def has_released(site: Site) -> bool:
    """Whether CodeDeploy has moved the service since: what is built from now on is for a release."""
    return bool(site.record("pipeline").get("released"))


def newer_bases(site: Site) -> list[str]:
    """The bases that the phase's image was built on and whose tag means another image now, where that can be known."""
    return engine.moved(site.record("image").get("bases", {}))


def _source(site: Site) -> Source:
    """What is built, its fingerprint taken."""
    config = site.config
    return Source(
        (config.root / config.get("image", "context")).resolve(),
        config.get("image", "dockerfile"),
        config.get("image", "platform"),
        config.get("image", "build_args"),
        config.get("image", "target"),
        site.rebuild,
    ).taken()


def _fingerprint(site: Site, source: Source) -> dict[str, str]:
    found = {"source": source.fingerprint(), "builder": site.config.get("image", "builder")}
    if found["builder"] not in ("docker", "bundle"):
        # A build elsewhere is sent what git tracks: a file that is added to it is news there.
        found["sent"] = source.sent(source.tracked()).fingerprint()
    return found


def _build(site: Site, needs: Answers, source: Source, builder: str, listener: Listener) -> image.Built:
    config, url = site.config, needs["ecr"]["repository_url"]
    if builder == "codebuild":
        place = codebuild.Place(
            needs["ecr"]["build_project_name"],
            site.bucket.name,
            site.bucket.sources,
            config.get("pipeline", "build_image") or "",
            config.get("pipeline", "build_compute_type"),
        )
        return codebuild.build(
            site.aws, place, config.root, source, url, lambda line: site.say(f"build: {line}"), site.cancel
        )
    instead = image.instead_of_docker(config.get("image", "builder"), config.endpoint_url)
    with explained("ecr:ListImages"):
        ecr = site.aws.client("ecr")
        built = image.push(source, url, ecr, builder, lambda line: listener(Progress(0, 1, line)), instead)
    if built.because:
        site.say(f"{built.because}: built a {built.builder} instead")
    return built


def _is_there(site: Site, needs: Answers, digest: str) -> bool:
    from botocore.exceptions import ClientError

    name = needs["ecr"]["repository_name"]
    try:
        with explained("ecr:DescribeImages"):
            try:
                site.aws.client("ecr").describe_images(repositoryName=name, imageIds=[{"imageDigest": digest}])
            except ClientError as error:
                if code(error) in ("ImageNotFoundException", "RepositoryNotFoundException"):
                    return False
                raise
    except DeployError as error:
        raise ImageFailed(error.what, error.remedy) from None
    return True
