"""Images into the node's registry, over its own protocol; each is pushed once per content."""

import hashlib
import http.client
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.cache import digest_of
from sandbox.layers import Layer, write
from sandbox.problem import Problem

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_INPUTS = "fairlead.sandbox.inputs"
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Image:
    """An image under the name that upstream's manifests ask for: registry, repository and tag."""

    name: str
    layers: tuple[Layer, ...]
    config: Mapping[str, object] = field(default_factory=dict)

    @property
    def repository(self) -> str:
        """The name without the registry, which the node's containerd maps to ours, and without the tag."""
        return self.name.partition("/")[2].rpartition(":")[0]

    @property
    def tag(self) -> str:
        """What follows the last colon."""
        return self.name.rpartition(":")[2]

    @property
    def inputs(self) -> str:
        """The digest of everything that decides the image."""
        parts = [json.dumps(self.config, sort_keys=True)]
        return digest_of([*parts, *(part for layer in self.layers for part in layer.inputs())])


@dataclass(slots=True)
class Registry:
    """The registry at an address."""

    address: str
    _homes: dict[str, str] = field(default_factory=dict)

    def answers(self) -> bool:
        """Say whether the registry is there."""
        try:
            return self._call("GET", "/v2/").status == http.client.OK
        except OSError:
            return False

    def has(self, image: Image) -> bool:
        """Say whether the registry holds exactly this image."""
        answer = self._call("GET", f"/v2/{image.repository}/manifests/{image.tag}", headers={"Accept": _MANIFEST})
        if answer.status != http.client.OK:
            return False
        annotations = json.loads(answer.body).get("annotations", {})
        return isinstance(annotations, dict) and annotations.get(_INPUTS) == image.inputs

    def holds(self, repository: str, digest: str) -> bool:
        """Say whether the registry holds a manifest, whoever pushed it."""
        path = f"/v2/{repository}/manifests/{digest}"
        return self._call("HEAD", path, headers={"Accept": _MANIFEST}).status == http.client.OK

    def push(self, image: Image, scratch: Path, *, architecture: str) -> None:
        """Push every layer, the configuration, and last the manifest that makes the image appear."""
        scratch.mkdir(parents=True, exist_ok=True)
        layers = list(self._push_layers(image, scratch))
        root = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
        content = {"architecture": architecture, "os": "linux", "config": dict(image.config), "rootfs": root}
        config = json.dumps(content, sort_keys=True).encode()
        config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        self._push_blob(image.repository, config_digest, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": config_digest, "size": len(config)},
            "layers": layers,
            "annotations": {_INPUTS: image.inputs},
        }
        path = f"/v2/{image.repository}/manifests/{image.tag}"
        self._expect(self._call("PUT", path, json.dumps(manifest).encode(), headers={"Content-Type": _MANIFEST}), path)

    def _push_layers(self, image: Image, scratch: Path) -> Iterator[dict[str, object]]:
        for layer in image.layers:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                path, digest = write(layer, Path(folder))
                self._push_blob(image.repository, digest, path)
                yield {"mediaType": _LAYER, "digest": digest, "size": path.stat().st_size}

    def _push_blob(self, repository: str, digest: str, blob: bytes | Path) -> None:
        if self._call("HEAD", f"/v2/{repository}/blobs/{digest}").status == http.client.OK:
            return
        # A layer that another image brought already is only linked.
        home = self._homes.get(digest)
        mount = f"?mount={digest}&from={home}" if home else ""
        path = f"/v2/{repository}/blobs/uploads/"
        begun = self._call("POST", path + mount)
        self._homes[digest] = repository
        if begun.status == http.client.CREATED:
            return
        self._expect(begun, path)
        target = urlsplit(begun.location)
        upload = f"{target.path}?{target.query}&digest={digest}"
        size = len(blob) if isinstance(blob, bytes) else blob.stat().st_size
        self._expect(self._call("PUT", upload, blob, headers={"Content-Length": str(size)}), path)

    def _expect(self, answer: "_Answer", path: str) -> None:
        if answer.status >= http.client.BAD_REQUEST:
            text = answer.body.decode(errors="replace")[:300]
            raise Problem(
                f"The registry at {self.address} answered {answer.status} to {path}: {text}", "Look at: make doctor"
            )

    def _call(
        self, method: str, path: str, body: bytes | Path | None = None, *, headers: Mapping[str, str] | None = None
    ) -> "_Answer":
        connection = http.client.HTTPConnection(self.address, timeout=_TIMEOUT_S)
        try:
            if isinstance(body, Path):
                with body.open("rb") as file:
                    connection.request(method, path, file, dict(headers or {}))
                    answer = connection.getresponse()
            else:
                connection.request(method, path, body, dict(headers or {}))
                answer = connection.getresponse()
            return _Answer(answer.status, answer.read(), answer.headers.get("Location", ""))
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    location: str
