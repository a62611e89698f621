"""Bundle images for tests: a tiny HTTP server of the standard library, pushed to the emulator's registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field

from emulator.data.registry import Registry

OCI = "application/vnd.oci.image"

# What `/exit/<code>`, `/sick`, `/held` (its body comes after `/go`) and ON_TERM do is what the tests need of one.
APP = """
import http.server, json, os, signal, threading

state = {"status": 200}
go = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, _, rest = self.path[1:].partition("/")
        if name == "exit":
            os._exit(int(rest))
        if name == "sick":
            state["status"] = 503
        if name == "go":
            go.set()
        body = json.dumps(dict(os.environ) | {"cwd": os.getcwd(), "pid": os.getpid()}).encode()
        self.send_response(state["status"] if name == "healthz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if name == "held":
            go.wait(60)
        self.wfile.write(body)

    def log_message(self, text, *arguments):
        print("served", self.path, flush=True)


if os.environ.get("ON_TERM") == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    def leave(*_):
        print("goodbye", flush=True)
        os._exit(0)
    signal.signal(signal.SIGTERM, leave)
print("hello from", os.environ.get("WHO", "nobody"), flush=True)
server = http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
server.serve_forever()
"""


@dataclass
class Bundle:
    """An image of some files and a configuration."""

    files: dict[str, str] = field(default_factory=lambda: {"app/server.py": APP})
    entry_point: list[str] = field(default_factory=lambda: ["python", "server.py"])
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=lambda: {"HOST": "0.0.0.0", "PORT": "7860", "WHO": "image"})
    labels: dict[str, str] = field(default_factory=lambda: {"dev.chatbot.builder": "bundle"})
    working_directory: str = "/app"

    def push(self, registry: Registry, repository: str, tag: str) -> str:
        """Answers the digest of the manifest."""
        layer = self._layer()
        config = json.dumps({
            "architecture": "amd64", "os": "linux",
            "config": {
                "Entrypoint": self.entry_point, "Cmd": self.command, "WorkingDir": self.working_directory,
                "Env": [f"{name}={value}" for name, value in self.environment.items()], "Labels": self.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(layer))]},
        }).encode()  # fmt: skip
        for blob in (layer, config):
            upload = registry.blobs.begin(repository)
            registry.blobs.append(upload, [blob])
            registry.commit(upload, _digest(blob))
        manifest = {
            "schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json",
            "config": _descriptor("config.v1+json", config), "layers": [_descriptor("layer.v1.tar+gzip", layer)],
        }  # fmt: skip
        media_type = f"{OCI}.manifest.v1+json"
        return registry.put_manifest(repository, tag, media_type, json.dumps(manifest).encode()).digest

    def _layer(self) -> bytes:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            for name, text in self.files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        return gzip.compress(raw.getvalue(), mtime=0)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": f"{OCI}.{kind}", "digest": _digest(content), "size": len(content)}
