"""Where an image may be pushed to."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from delivery.images.library import Image, Library
from local_stack.serving import serving
from local_stack.settings import StackSettings
from sandbox.commands import CommandFailed
from sandbox.progress import Progress

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
TAG = "gateway-1"


class PlainRegistry(ThreadingHTTPServer):
    """Speaks HTTP, and refuses whatever it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Refusal)
        self.asked: list[str] = []


class Refusal(BaseHTTPRequestHandler):
    server: PlainRegistry

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def plain() -> Iterator[PlainRegistry]:
    with serving(PlainRegistry()) as server:
        yield server


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A library that holds one image, of no layers."""
    if not shutil.which("skopeo"):
        reason = "no skopeo here, which pushes images"
        if StackSettings.read().environment.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    library = Library(tmp_path, Progress())
    (library.layout / "blobs" / "sha256").mkdir(parents=True)
    config = kept(library.layout, CONFIG, {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}})
    manifest = kept(
        library.layout, MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
    )
    named = manifest | {"annotations": {"org.opencontainers.image.ref.name": TAG}}
    (library.layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (library.layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return library


def kept(layout: Path, media_type: str, content: object) -> dict[str, object]:
    """Write a blob, and return what refers to it."""
    text = json.dumps(content)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_text(text)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(text)}


@pytest.mark.component
@pytest.mark.requirement("PROMOTION-012")
def test_a_registry_without_a_certificate_is_asked_for_one_before_it_gets_a_release(
    library: Library, plain: PlainRegistry
) -> None:
    image = Image("gateway", TAG, "", "", "", 0, 0.0)
    registry = f"127.0.0.1:{plain.server_address[1]}/mine"
    with pytest.raises(CommandFailed, match="TLS handshake"):
        library.push(image, registry, tls=True)
    assert plain.asked == []
    with pytest.raises(CommandFailed, match="403"):
        library.push(image, registry)
    assert plain.asked
