"""The image: what the Dockerfile says, a reproducible bundle, and a registry that is sent nothing twice."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.config import CHECKOUT
from orchestrator.errors import BadDocument, ImageFailed, MissingTool
from orchestrator.tools import bundle, dockerfile, engine, image, process
from orchestrator.tools.image_source import Source
from tests.orchestrator.conftest import FakeRegistry

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=python:3.12
FROM ${BASE} AS packages
COPY requirements.txt /tmp/
RUN pip install \\
    # a comment inside
    -r /tmp/requirements.txt

FROM ${BASE}
COPY --from=packages /tools /tools
ENV PATH=/tools/bin:$PATH PORT=7860 GREETING="hello there"
WORKDIR /app
COPY app/ ./app/
LABEL title=chat
EXPOSE 7860
USER 10001
ENTRYPOINT ["python", "-m", "app"]
"""


class FakeEcr:
    """GetAuthorizationToken, with the registry's address."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry
        self.meta = SimpleNamespace(endpoint_url=registry.url, region_name="us-east-1")

    def get_paginator(self, name: str) -> FakeEcr:
        assert name == "list_images"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        tags = {tag: content for tag, content in self._registry.manifests.items() if not tag.startswith("sha256:")}
        return [{"imageIds": [{"imageTag": tag, "imageDigest": bundle.sha256(tags[tag])}]} for tag in tags]

    def get_authorization_token(self) -> dict[str, Any]:
        token = base64.b64encode(self._registry.password.encode()).decode()
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": self._registry.url}]}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "app/deep").mkdir(parents=True)
    (tmp_path / "app/__pycache__").mkdir()
    (tmp_path / "app/__main__.py").write_text("print('hi')\n")
    (tmp_path / "app/deep/run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "app/deep/run.sh").chmod(0o755)
    (tmp_path / "app/__pycache__/x.pyc").write_bytes(b"junk")
    (tmp_path / "requirements.txt").write_text("gradio\n")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text("**/__pycache__\nREADME.md\n")
    return Source(tmp_path)


def _push(source: Source, registry: FakeRegistry) -> image.Built:
    url = "000000000000.dkr.ecr.us-east-1.amazonaws.com/chatbot"
    return image.push(replace(source, commit="abc123"), url, FakeEcr(registry), "bundle", lambda _: None)


def _layer(registry: FakeRegistry, digest: str) -> dict[str, tarfile.TarInfo]:
    manifest = json.loads(registry.manifests[digest])
    layer = registry.blobs[manifest["layers"][0]["digest"]]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {entry.name: entry for entry in tar}


def test_the_last_stage_is_read_with_its_settings(source: Source) -> None:
    last = source.stage()
    assert (last.folder, last.user, last.entrypoint) == ("/app", "10001", ["python", "-m", "app"])
    assert last.environment["PATH"].startswith("/tools/bin:/usr/local/sbin")
    assert (last.environment["GREETING"], last.ports, last.labels) == ("hello there", ["7860/tcp"], {"title": "chat"})
    assert [copy.sources for copy in last.copies] == [("app/",)]


def test_the_projects_dockerfile_copies_the_chatbot_alone() -> None:
    last = Source(CHECKOUT).stage()
    assert last.entrypoint == ["python", "-m", "chatbot"]
    assert last.user.partition(":")[0] not in ("", "0", "root")
    copied = {path for path, _ in bundle.files(last.copies, CHECKOUT, CHECKOUT / "Dockerfile")}
    assert "/app/chatbot/__main__.py" in copied
    assert all(path.startswith("/app/chatbot/") and not path.endswith(".pyc") for path in copied)


def test_a_stage_from_a_stage_inherits_its_settings() -> None:
    stages = dockerfile.parse("FROM a AS one\nENV A=1\nWORKDIR /w\nFROM one\nENV B=$A WORD=${NONE:-yes}\nWORKDIR in\n")
    assert stages[-1].environment == {"A": "1", "B": "1", "WORD": "yes"}
    assert stages[-1].folder == "/w/in"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no FROM"),
        ("RUN x\nFROM a\n", "before FROM"),
        ("FROM a\nRUN <<EOF\nx\n", "line 2: the heredoc has no EOF"),
        ("FROM a\nCOPY <<EOF /x\nx\nEOF\n", "line 2: a bundle holds no heredoc"),
        ("FROM a\n\nENV MSG it's\n", "line 3: no closing single quote"),
        ("FROM a\nCOPY --parents x/y /z\n", "line 2: a bundle does not know --parents"),
        ("FROM a\nADD app.tar.gz /x\n", "line 2: a bundle unpacks no archive"),
        ('FROM a\nCOPY "a b" /x\n', "line 2: no closing double quote"),
        ("FROM a\nENV A=1 B\n", "line 2: B is not NAME=VALUE"),
        ("ARG V\nFROM ${V?gone}\n", "line 2: V: gone"),
        ("FROM a\nCOPY x\n", "a source and a target"),
    ],
)
def test_a_dockerfile_that_cannot_be_followed_is_refused(text: str, problem: str) -> None:
    with pytest.raises(BadDocument, match=problem):
        dockerfile.parse(text)


def test_a_source_that_is_not_there_is_named_with_its_line(source: Source) -> None:
    (source.context / "Dockerfile").write_text("FROM a\nCOPY nothing /x\n")
    with pytest.raises(BadDocument, match="line 2: there is no nothing"):
        list(bundle.files(source.stage().copies, source.context, source.file))
    assert source.fingerprint() and source.bases() == ("a", ["a"]), "Docker has the word on its own Dockerfiles"


def test_a_bundle_holds_the_copied_files_and_nothing_of_this_machine(source: Source, registry: FakeRegistry) -> None:
    built = _push(source, registry)
    layer = _layer(registry, built.digest)
    assert set(layer) == {"app", "app/app", "app/app/__main__.py", "app/app/deep", "app/app/deep/run.sh"}
    assert layer["app/app/deep/run.sh"].mode == 0o755
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in layer.values()} == {(0, 0, 0, "")}
    config = json.loads(registry.blobs[json.loads(registry.manifests[built.digest])["config"]["digest"]])
    assert config["config"]["Entrypoint"] == ["python", "-m", "app"]
    assert config["config"]["Labels"]["dev.chatbot.builder"] == "bundle"
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == "abc123"


def test_the_same_source_gives_the_same_digest(source: Source, registry: FakeRegistry) -> None:
    first = _push(source, registry)
    registry.manifests.clear()
    os.utime(source.context / "app/__main__.py", (1, 1))
    (source.context / "app/__pycache__/y.pyc").write_bytes(b"other junk")
    assert _push(source, registry).digest == first.digest


def test_what_is_in_the_registry_is_not_sent_again(source: Source, registry: FakeRegistry) -> None:
    assert _push(source, registry).pushed
    sent = len(registry.uploads)
    assert not _push(source, registry).pushed
    registry.manifests.clear()
    assert _push(source, registry).pushed
    assert len(registry.uploads) == sent


def test_what_is_built_anew_is_another_tag_and_from_then_on_the_answer(source: Source, registry: FakeRegistry) -> None:
    first = _push(source, registry)
    anew = _push(replace(source, rebuild="20260102T030405Z"), registry)
    assert anew.pushed and anew.tag == f"{first.tag}-20260102T030405Z"
    assert _push(source, registry).tag == anew.tag, "a commit that changes no file must not bring the old one back"
    later = _push(replace(source, rebuild="20260102T030406Z"), registry)
    assert later.pushed and _push(source, registry).tag == later.tag
    assert not _push(replace(source, rebuild="20260102T030405Z"), registry).pushed, "the same build, gone on with"
    (source.context / "app/__main__.py").write_text("print('ho')\n")
    assert _push(source, registry).tag.count("-") == 1, "another source has a build of its own"


def test_a_push_that_was_cut_is_no_image_and_goes_on_where_it_was(source: Source, registry: FakeRegistry) -> None:
    registry.cut_after = 1
    with pytest.raises(ImageFailed, match="does not answer"):
        _push(source, registry)
    assert len(registry.uploads) == 1 and not registry.manifests
    registry.cut_after = None
    assert _push(source, registry).pushed
    assert len(registry.uploads) == 2, "what had arrived was sent again"


def test_a_tag_that_a_person_named_is_never_moved(source: Source, registry: FakeRegistry) -> None:
    first, said = _push(source, registry), list[str]()
    image.name(first, "v1", FakeEcr(registry), said.append)
    image.name(first, "v1", FakeEcr(registry), said.append)
    assert said == ["named v1"] and registry.manifests["v1"] == registry.manifests[first.digest]
    (source.context / "app/__main__.py").write_text("print('ho')\n")
    second = _push(source, registry)
    with pytest.raises(ImageFailed, match=f"v1 is there already, .*: {first.digest}; this one is {second.digest}"):
        image.name(second, "v1", FakeEcr(registry), said.append)
    assert registry.manifests["v1"] == registry.manifests[first.digest]


def test_an_ignore_file_that_docker_refuses_makes_no_bundle(source: Source, registry: FakeRegistry) -> None:
    (source.context / ".dockerignore").write_text("app\na[\n")
    with pytest.raises(BadDocument, match=r"\.dockerignore: a\["):
        _push(source, registry)


def test_a_change_of_code_sends_its_layer_and_its_config(source: Source, registry: FakeRegistry) -> None:
    first = _push(source, registry)
    sent = len(registry.uploads)
    (source.context / "app/__main__.py").write_text("print('ho')\n")
    second = _push(source, registry)
    assert second.digest != first.digest and second.tag != first.tag
    assert len(registry.uploads) == sent + 2


def test_the_dockerignore_is_kept(source: Source, registry: FakeRegistry) -> None:
    (source.context / ".dockerignore").write_text("*\n!app\n**/deep\n**/__pycache__\n")
    (source.context / "Dockerfile").write_text('FROM a\nCOPY app /app\nENTRYPOINT ["python"]\n')
    assert set(_layer(registry, _push(source, registry).digest)) == {"app", "app/__main__.py"}


def test_the_fingerprint_follows_the_source_and_nothing_else(source: Source) -> None:
    before = source.fingerprint()
    (source.context / "README.md").write_text("left out")
    os.utime(source.context / "requirements.txt", (1, 1))
    assert source.fingerprint() == before
    (source.context / "requirements.txt").write_text("gradio==6\n")
    assert source.fingerprint() != before
    (source.context / "other.Dockerfile").write_text(DOCKERFILE)
    others: list[dict[str, Any]] = [
        {}, {"platform": "linux/arm64"}, {"arguments": {"A": "1"}}, {"file_name": "other.Dockerfile"},
    ]  # fmt: skip
    assert len({replace(source, **other).fingerprint() for other in others}) == 4


# A word → what BuildKit makes of it where A=one/two.tar.gz and E is empty (docs.docker.com/reference/dockerfile,
# "Environment replacement", and BuildKit's lexer where that says nothing).
WORDS = {
    "$A": "one/two.tar.gz", "${A}x": "one/two.tar.gzx", "$NONE": "", "a$": "a$", r"\$A": "$A", r"a\b": "ab",
    "'$A'": "$A", '"$A"': "one/two.tar.gz", r'"\$A \x"': r"$A \x", "'it'\"'s\"": "it's",
    "${NONE:-x}": "x", "${E:-x}": "x", "${E-x}": "", "${A:+x}": "x", "${E+x}": "x",
    "${NONE:-${E:-$A}}": "one/two.tar.gz",
    "${A#*/}": "two.tar.gz", "${A#*.}": "tar.gz", "${A##*.}": "gz", "${A%.*}": "one/two.tar", "${A%%.*}": "one/two",
    r"${A/\//-}": "one-two.tar.gz", "${A//t/T}": "one/Two.Tar.gz", "${A/?wo/2}": "one/2.tar.gz",
}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_what_buildkit_makes_of_it(word: str) -> None:
    text = f"FROM a\nARG A=one/two.tar.gz\nENV E=\nENV WORD={word}\nLABEL old {word} end\n"
    stage = dockerfile.parse(text)[-1]
    assert (stage.environment["WORD"], stage.labels["old"]) == (WORDS[word], f"{WORDS[word]} end")


def test_a_line_goes_on_as_buildkit_joins_it() -> None:
    text = "FROM a\nENV A=1\\\n2 \\  \n\n # a comment\n  B=3\\\\\nENV C=4 \\\n"
    assert dockerfile.parse(text)[-1].environment == {"A": "12", "B": "3\\", "C": "4"}


def test_an_entrypoint_takes_an_inherited_command_away_and_not_the_stages_own() -> None:
    base = 'FROM a AS one\nCMD ["x"]\n'
    found = [
        dockerfile.parse(base + more)[-1].command
        for more in ('ENTRYPOINT ["e"]\n', 'FROM one\nENTRYPOINT ["e"]\n', 'FROM one\nCMD ["y"]\nENTRYPOINT ["e"]\n')
    ]
    assert found == [["x"], [], ["y"]]


def test_a_list_of_other_things_than_texts_is_a_line_for_the_shell() -> None:
    assert dockerfile.parse('FROM a\nCMD ["sleep", 1]\n')[-1].command == ["/bin/sh", "-c", '["sleep", 1]']


def test_a_target_is_a_stage_by_its_name_or_number(source: Source) -> None:
    text = "FROM a AS one\nENV X=1\nFROM b AS two\nFROM one\nENV X=3\n"
    found = {name: dockerfile.chosen(dockerfile.parse(text), name).environment for name in ("", "ONE", "two", "0")}
    assert found == {"": {"X": "3"}, "ONE": {"X": "1"}, "two": {}, "0": {"X": "1"}}
    with pytest.raises(BadDocument, match="Dockerfile has no stage three"):
        dockerfile.chosen(dockerfile.parse(text), "three")
    source.file.write_text(text)
    assert source.bases() == ("a", ["a", "b"]) and replace(source, target="two").bases() == ("b", ["a", "b"])
    source.file.write_text("FROM tools AS t\nFROM scratch\nFROM scratch AS last\n")
    assert source.bases() == ("", ["tools"]), "which may not be needed at all"
    assert replace(source, target="two").fingerprint() != source.fingerprint()


# What Docker builds; the reviews' own cases among them (docs.docker.com/reference/dockerfile).
BUILT = {
    "heredoc": 'FROM python:3.12\nRUN <<EOF\nFROM nothing\nEOF\nCMD ["python"]\n',
    "heredoc with tabs": "FROM python:3.12\nRUN <<-'END' cat\n\tFROM nothing\n\tEND\nUSER 1\n",
    "two heredocs": "FROM python:3.12\nRUN <<A <<B cat\n1\nA\n2\nB\nUSER 1\n",
    "shift": 'FROM python:3.12\nRUN echo $((1<<N))\nRUN cat <<<"x"\n',
    "optional": "FROM python:3.12\nCOPY requirements.txt yarn.lock* ./\n",
    "tab": 'FROM\tpython:3.12\nCMD ["python"]\n',
    "byte order mark": '\ufeffFROM python:3.12\nCMD ["python"]\n',
    "glob that is no JSON": "FROM python:3.12\nCOPY [a-z]*.txt /app/\n",
    "flags before JSON": 'FROM python:3.12\nCOPY --chown=1:1 --link ["requirements.txt", "/app/"]\n',
    "escape": "# syntax=docker/dockerfile:1\n# escape=`\nFROM python:3.12\nRUN a `\n  b\n",
    "an end that goes on": "FROM python:3.12\nRUN x \\\n",
    "small letters": "from python:3.12\nrun true\n",
}


@pytest.mark.parametrize("text", BUILT.values(), ids=BUILT)
def test_what_docker_builds_is_read(source: Source, text: str) -> None:
    source.file.write_text(text)
    assert source.fingerprint() and source.bases() == ("python:3.12", ["python:3.12"])
    assert list(bundle.files(source.stage().copies, source.context, source.file)) is not None


@pytest.mark.parametrize("text", ["FROM a\nENV MSG it's\n", "FROM a\nCOPY x\n", "nonsense\n", ""])
def test_what_docker_will_not_build_is_its_own_to_refuse(source: Source, text: str) -> None:
    source.file.write_text(text)
    assert source.fingerprint() and source.bases() in (("a", ["a"]), ("", []))


def test_a_bundle_copies_as_docker_does(source: Source, registry: FakeRegistry) -> None:
    (source.context / "app/link").symlink_to("deep/run.sh")
    (source.context / "at").symlink_to("requirements.txt")
    source.file.write_text(
        "FROM a\nWORKDIR /w\nCOPY app /x\nCOPY at /w\n"
        "COPY --chmod=700 re*.txt none* /y/\nCOPY app/deep/../__main__.py z\n"
    )
    layer = _layer(registry, _push(source, registry).digest)
    assert layer["x/link"].linkname == "deep/run.sh" and layer["w/at"].isfile()
    assert layer["y/requirements.txt"].mode == 0o700 and layer["w/z"].isfile()
    assert "x/__pycache__" not in layer


def test_without_an_engine_an_emulator_gets_a_bundle_and_aws_a_build_over_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    assert image.choose("auto", "http://localhost:4566") == "bundle"
    assert image.choose("auto", "") == "codebuild"
    with pytest.raises(MissingTool, match=r'set image\.builder = "bundle"'):
        image.choose("docker", "http://localhost:4566")
    with pytest.raises(MissingTool, match=r'set image\.builder = "codebuild"'):
        image.choose("docker", "")
    monkeypatch.setattr(engine, "answers", lambda: True)
    assert image.choose("auto", "") == "docker"
    assert image.choose("codebuild", "") == "codebuild"


def test_a_base_that_cannot_be_had_makes_a_bundle_where_the_builder_is_open(
    source: Source, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: list[str], **_: object) -> process.Result:
        return process.Result(1, "", "pull access denied") if command[0] == "docker" else process.Result(1, "")

    monkeypatch.setattr(process, "run", refuse)
    said: list[str] = []
    url = "000000000000.dkr.ecr.us-east-1.amazonaws.com/chatbot"
    built = image.push(
        source, url, FakeEcr(registry), "docker", said.append, image.instead_of_docker("auto", "http://x")
    )
    assert built.builder == "bundle" and built.tag.startswith("bundle-")
    assert "the base image python:3.12 cannot be pulled (pull access denied): builds a bundle instead" in said
    with pytest.raises(engine.NoBase):
        image.push(source, url, FakeEcr(registry), "docker", said.append, image.instead_of_docker("docker", "http://x"))


def test_created_is_when_the_commit_was_written(source: Source) -> None:
    assert "org.opencontainers.image.created" not in source.labels("bundle")
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    dates = {"GIT_AUTHOR_DATE": "1000000000 +0200", "GIT_COMMITTER_DATE": "1100000000 +0000"}
    for argv in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *argv], cwd=source.context, check=True, env={**os.environ, **dates})
    assert source.labels("docker")["org.opencontainers.image.created"] == "2001-09-09T01:46:40Z"


@pytest.mark.parametrize(
    ("given", "created"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.678+02:00", "2026-01-02T01:04:05Z"),
        ("2026-01-02T03:04:05", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_a_pipelines_date_becomes_the_label_and_anything_else_none(
    source: Source, given: str, created: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Source] = []

    def note(source: Source, options: object) -> image.Built:
        seen.append(source)
        return image.Built("uri@sha256:1", "sha256:1", "tag", "bundle", True)

    monkeypatch.setattr(image, "_push_from_here", note)
    output = str(source.context / "imageDetail.json")
    flags = ["--context", str(source.context), "--repository-url", "x", "--revision", "abc", "--output", output]
    assert image.main([*flags, "--created", given]) == 0
    assert seen[0].labels("docker").get("org.opencontainers.image.created", "") == created
    assert ("ISO 8601" in capsys.readouterr().out) == (bool(given) and not created)


@pytest.mark.parametrize("name", ["v2", "20260102", "2026-01-02T03:04:05Z", "20260102T030405Z-x"])
def test_a_build_that_is_asked_for_anew_is_named_by_a_time(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By anything else it would be the newest for ever, or never."""
    with pytest.raises(SystemExit):
        image.main(["--repository-url", "r", "--rebuild", name])
    assert "is not a time like 20260102T030405Z" in capsys.readouterr().err
