"""The registry as the emulator itself uses it: reading, deleting, unpacking."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.data.registry import Deletion, Registry, RegistryError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Entry:
    """One member of a layer."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    mode: int = 0o644


def folder(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, kind=tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str) -> Entry:
    return Entry(name, kind=tarfile.SYMTYPE, target=target)


def hard_link(name: str, target: str) -> Entry:
    return Entry(name, kind=tarfile.LNKTYPE, target=target)


def layer(*entries: Entry) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.type, member.linkname, member.mode, member.size = (
                entry.kind,
                entry.target,
                entry.mode,
                len(entry.content),
            )
            member.mtime = 1_000_000_000
            archive.addfile(member, io.BytesIO(entry.content))
    return gzip.compress(buffer.getvalue(), mtime=0)


@dataclass
class Images:
    """A registry, and images made of layers in it."""

    registry: Registry
    folder: Path
    deleted: list[tuple[str, str, str | None]]

    def blob(self, content: bytes, repository: str = "app") -> dict[str, Any]:
        upload = self.registry.blobs.begin(repository)
        self.registry.blobs.append(upload, [content])
        self.registry.commit(upload, digest(content))
        return {"mediaType": "application/octet-stream", "digest": digest(content), "size": len(content)}

    def push(self, tag: str, *layers: bytes, repository: str = "app", config: Any = None) -> str:
        document = {
            "schemaVersion": 2,
            "config": self.blob(json.dumps(config or {}).encode(), repository),
            "layers": [self.blob(content, repository) for content in layers],
        }
        return self.registry.put_manifest(repository, tag, OCI_MANIFEST, json.dumps(document).encode()).digest

    def unpacked(self, *layers: bytes) -> Path:
        self.push("unpacked", *layers)
        return self.registry.unpack("app", "unpacked", self.folder / "images")


@pytest.fixture
def images(tmp_path: Path) -> Images:
    deleted: list[tuple[str, str, str | None]] = []
    registry = Registry(
        tmp_path / "registry",
        lambda *asked: None,
        None,
        lambda repository: True,
        on_delete=lambda *what: deleted.append(what),
    )
    return Images(registry, tmp_path, deleted)


def tree(root: Path) -> dict[str, str]:
    """Every file below a folder with its text, and every link with its target."""
    return {
        path.relative_to(root).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


# Reading and deleting


def test_images_carry_their_tags_size_and_time_of_push(images: Images) -> None:
    first = images.push("a", b"12345")
    images.push("b", b"12345")
    second = images.push("c", b"123")
    listed = images.registry.images("app")
    assert [(image.digest, image.tags, image.size) for image in listed] == [(first, ("a", "b"), 7), (second, ("c",), 5)]
    assert abs(listed[0].pushed_at.timestamp() - os.stat(images.folder).st_mtime) < 60  # noqa: PTH116
    assert images.registry.tags("app") == {"a": first, "b": first, "c": second}


def test_pushing_an_image_again_keeps_its_time_of_push(images: Images) -> None:
    images.push("a", b"1")
    before = images.registry.images("app")[0].pushed
    images.push("b", b"1")
    assert images.registry.images("app")[0].pushed == before


def test_an_index_answers_with_the_image_of_this_machine(images: Images) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    children = []
    for architecture in ("s390x", machine):
        child = images.push(architecture, b"layer", config={"architecture": architecture})
        children.append({"digest": child, "size": 1, "platform": {"os": "linux", "architecture": architecture}})
    document = json.dumps({"schemaVersion": 2, "manifests": children}).encode()
    images.registry.put_manifest("app", "multi", OCI_INDEX, document)
    assert images.registry.image_config("app", "multi") == {"architecture": machine}
    assert images.registry.image_manifest("app", "multi", "s390x").digest == children[0]["digest"]
    with pytest.raises(RegistryError, match="no image for linux/ppc64le"):
        images.registry.image_manifest("app", "multi", "ppc64le")


def test_an_image_goes_with_its_last_tag_and_a_digest_with_all_of_them(images: Images) -> None:
    first, second = images.push("a", b"1"), images.push("x", b"2")
    images.push("b", b"1")
    assert images.registry.delete("app", tags=["a"]) == [Deletion(first, "a")]
    assert images.registry.tags("app") == {"b": first, "x": second}
    assert images.registry.delete("app", tags=["b", "b"]) == [
        Deletion(first, "b"),
        Deletion(None, "b", "ImageNotFound", "Requested image not found"),
    ]
    images.push("y", b"2")
    assert images.registry.delete("app", digests=[second]) == [Deletion(second, "x"), Deletion(second, "y")]
    assert images.registry.images("app") == []
    assert images.deleted == [("app", first, "a"), ("app", first, "b"), ("app", second, "x"), ("app", second, "y")]


def test_an_image_of_an_index_is_not_deleted_before_it(images: Images) -> None:
    child = images.push("child", b"1")
    document = json.dumps({"schemaVersion": 2, "manifests": [{"digest": child, "size": 1}]}).encode()
    index = images.registry.put_manifest("app", "multi", OCI_INDEX, document).digest
    (refused,) = images.registry.delete("app", digests=[child])
    assert (refused.failure, refused.reason) == (
        "ImageReferencedByManifestList",
        f"Requested image referenced by manifest list: [{index}]",
    )
    (by_tag,) = images.registry.delete("app", tags=["child"])
    assert by_tag.failure == "ImageReferencedByManifestList"
    assert images.registry.delete("app", digests=[index, child]) == [Deletion(index, "multi"), Deletion(child, "child")]


def test_a_deleted_repository_is_empty_and_the_one_below_its_name_untouched(images: Images) -> None:
    images.push("v1", b"1", repository="app")
    images.push("v1", b"1", repository="app/below")
    images.registry.delete_repository("app")
    assert images.registry.repositories() == ["app/below"]
    with pytest.raises(RegistryError, match="blob unknown"):
        images.registry.repository_blob("app", digest(b"1"))
    assert images.registry.repository_blob("app/below", digest(b"1")).read_bytes() == b"1"


def test_only_what_no_image_names_and_nobody_is_pushing_is_collected(images: Images) -> None:
    image = images.push("v1", b"kept")
    images.blob(b"a push in progress")
    images.blob(b"abandoned")
    for path in (images.registry.blob_path(digest(b"abandoned")), images.registry.blob_path(image)):
        os.utime(path, (0, 0))
    for _, path in images.registry._files.links():
        if path.name.endswith((digest(b"abandoned")[7:], digest(b"kept")[7:])):
            os.utime(path, (0, 0))
    assert images.registry.collect() == 1
    assert images.registry.repository_blob("app", digest(b"a push in progress")).exists()
    assert images.registry.manifest("app", "v1").layers[0]["digest"] == digest(b"kept")
    with pytest.raises(RegistryError, match="blob unknown"):
        images.registry.blob_path(digest(b"abandoned"))


# Unpacking


def test_layers_lie_on_top_of_each_other_and_whiteouts_take_away(images: Images) -> None:
    root = images.unpacked(
        layer(Entry("app/main.py", b"old"), Entry("app/gone.py", b"x"), Entry("data/a", b"1"), Entry("data/b", b"2")),
        layer(
            Entry("app/main.py", b"new"), Entry("app/.wh.gone.py"), Entry("data/c", b"3"), Entry("data/.wh..wh..opq")
        ),
        layer(Entry("./app/bin/run", b"#!", mode=0o755), Entry(".wh.never-there")),
    )
    assert tree(root) == {"app/main.py": "new", "app/bin/run": "#!", "data/c": "3"}
    assert (root / "app/bin/run").stat().st_mode & 0o777 == 0o755
    assert (root / "app/main.py").stat().st_mtime == 1_000_000_000


def test_an_opaque_folder_keeps_what_its_own_layer_nests_in_it(images: Images) -> None:
    root = images.unpacked(
        layer(Entry("etc/conf/old", b"1"), Entry("etc/other", b"2")),
        layer(folder("etc"), Entry("etc/.wh..wh..opq"), Entry("etc/conf/new", b"3")),
        layer(Entry("etc/conf/last", b"4"), Entry("etc/.wh..wh..opq")),
    )
    assert tree(root) == {"etc/conf/last": "4"}


def test_files_folders_and_links_replace_each_other(images: Images) -> None:
    root = images.unpacked(
        layer(Entry("a/file", b"1"), Entry("b", b"2"), link("c", "b")),
        layer(Entry("a", b"a file now"), folder("b"), Entry("b/inner", b"3"), Entry("c", b"a file now")),
    )
    assert tree(root) == {"a": "a file now", "b/inner": "3", "c": "a file now"}


def test_a_file_below_a_linked_folder_lands_where_the_link_points(images: Images) -> None:
    root = images.unpacked(layer(folder("usr/lib"), link("lib", "usr/lib")), layer(Entry("lib/x.so", b"so")))
    assert tree(root) == {"lib": "-> usr/lib", "usr/lib/x.so": "so"}


def test_a_hard_link_is_another_name_of_the_file(images: Images) -> None:
    root = images.unpacked(layer(Entry("bin/a", b"same"), hard_link("bin/b", "bin/a")))
    assert (root / "bin/a").samefile(root / "bin/b")


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_without_write_permission_is_filled_all_the_same(images: Images, mode: int) -> None:
    root = images.unpacked(layer(folder("locked", mode), Entry("locked/file", b"1")))
    assert tree(root) == {"locked/file": "1"}


def test_a_layer_may_be_plain_or_zstandard(images: Images) -> None:
    zstandard = pytest.importorskip("zstandard")
    plain = gzip.decompress(layer(Entry("plain", b"1")))
    packed = zstandard.compress(gzip.decompress(layer(Entry("zstd", b"2"))))
    assert tree(images.unpacked(plain, packed)) == {"plain": "1", "zstd": "2"}


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("../escaped", b"x")],
        [Entry("a/../../escaped", b"x")],
        [Entry("a/.wh...", b"")],
        [hard_link("stolen", "/etc/passwd")],
        [hard_link("stolen", "../outside")],
        [link("loop", "loop"), Entry("loop/x", b"x")],
    ],
)
def test_a_layer_that_reaches_out_of_its_folder_is_refused(images: Images, entries: list[Entry]) -> None:
    (images.folder / "outside").write_text("secret")
    with pytest.raises(RegistryError):
        images.unpacked(layer(*entries))
    assert not (images.folder / "escaped").exists()
    assert list((images.folder / "images").iterdir()) == []


@pytest.mark.parametrize("target", ["/..", "../../..", "/", "../../../../../../../../../"])
def test_writing_through_a_link_that_points_outside_stays_inside(images: Images, target: str) -> None:
    root = images.unpacked(layer(folder("deep"), link("deep/way", target)), layer(Entry("deep/way/file", b"here")))
    assert (root / "file").read_text() == "here"
    assert sorted(path.name for path in images.folder.iterdir()) == ["images", "registry"]


def test_links_end_inside_the_image_even_through_other_links(images: Images) -> None:
    root = images.unpacked(
        layer(
            folder("x/y"),
            link("x/y/top", "/"),
            link("passwd", "/etc/passwd"),
            link("sneaky", "x/y/top/../../../../../../etc/passwd"),
            link("x/relative", "../etc/motd"),
            hard_link("top", "x/y/top"),
            hard_link("x/y/motd", "x/relative"),
        )
    )
    for path in root.rglob("*"):
        assert root in (path.resolve(), *path.resolve().parents), path
    assert os.readlink(root / "x/relative") == "../etc/motd"  # noqa: PTH115
    assert os.readlink(root / "passwd") == "etc/passwd"  # noqa: PTH115
    assert (root / "top").resolve() == root
    assert os.readlink(root / "x/y/motd") == "../../etc/motd"  # noqa: PTH115


def test_devices_and_pipes_are_left_out(images: Images) -> None:
    root = images.unpacked(layer(Entry("dev/null", kind=tarfile.CHRTYPE), Entry("pipe", kind=tarfile.FIFOTYPE)))
    assert tree(root) == {}


def test_the_same_layers_are_unpacked_once(images: Images) -> None:
    content = layer(Entry("file", b"1"))
    root = images.unpacked(content)
    images.push("other-config", content, config={"config": {"Env": ["A=B"]}})
    (root / "file").write_text("touched")
    again = images.registry.unpack("app", "other-config", images.folder / "images")
    assert (again, (again / "file").read_text()) == (root, "touched")
    assert images.unpacked(content, layer(Entry("more", b"2"))) != root


def test_unpacking_at_once_gives_everyone_the_same_folder(images: Images) -> None:
    images.push("v1", layer(*[Entry(f"file{number}", b"x" * 10_000) for number in range(200)]))
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(images.registry.unpack("app", "v1", images.folder / "images")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert list((images.folder / "images").iterdir()) == [found[0]]


def test_a_layer_that_is_no_archive_is_refused_and_leaves_nothing(images: Images) -> None:
    for broken in (gzip.compress(b"no tar" * 200), layer(Entry("file", b"1" * 100_000))[:-40]):
        with pytest.raises(RegistryError, match="no tar archive"):
            images.unpacked(broken)
    assert list((images.folder / "images").iterdir()) == []
