"""Images pushed over the registry's protocol, to a registry that remembers."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from local_stack.serving import serving
from sandbox.layers import Archive, File, Files, write
from sandbox.registry import Image, Registry


class FakeRegistry(ThreadingHTTPServer):
    """Holds blobs and manifests, and refuses a blob whose digest is another."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.uploads = 0


class Handler(BaseHTTPRequestHandler):
    server: FakeRegistry

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def place(self) -> tuple[str, str, str]:
        repository, _, rest = urlsplit(self.path).path.removeprefix("/v2/").rpartition("/")
        repository, _, kind = repository.removesuffix("/uploads").rpartition("/")
        return repository, kind, rest

    def do_GET(self) -> None:
        if self.path == "/v2/":
            return self.answer(200)
        repository, _, tag = self.place()
        manifest = self.server.manifests.get((repository, tag))
        return self.answer(200, manifest) if manifest else self.answer(404)

    def do_HEAD(self) -> None:
        repository, kind, digest = self.place()
        kept = self.server.manifests if kind == "manifests" else self.server.blobs
        self.answer(200 if (repository, digest) in kept else 404)

    def do_POST(self) -> None:
        repository, _, _ = self.place()
        query = parse_qs(urlsplit(self.path).query)
        if "mount" in query:
            digest = query["mount"][0]
            self.server.blobs[repository, digest] = self.server.blobs[query["from"][0], digest]
            return self.answer(201)
        return self.answer(202, Location=f"/v2/{repository}/blobs/uploads/7?_state=x")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        repository, kind, tag = self.place()
        if kind == "manifests":
            for reference in (tag, f"sha256:{hashlib.sha256(body).hexdigest()}"):
                self.server.manifests[repository, reference] = body
            return self.answer(201)
        digest = parse_qs(urlsplit(self.path).query)["digest"][0]
        if digest != f"sha256:{hashlib.sha256(body).hexdigest()}":
            return self.answer(400, b"digest invalid")
        self.server.uploads += 1
        self.server.blobs[repository, digest] = body
        return self.answer(201)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as server:
        yield server


@pytest.fixture
def registry(fake: FakeRegistry) -> Registry:
    return Registry(f"127.0.0.1:{fake.server_address[1]}")


def image(name: str, text: str = "program") -> Image:
    return Image(name, (Files({"/usr/local/bin/program": File(text)}),), {"Entrypoint": ["program"]})


def test_an_image_is_there_under_upstreams_name_once_pushed(
    fake: FakeRegistry, registry: Registry, tmp_path: Path
) -> None:
    wanted = image("registry.k8s.io/coredns/coredns:v1.14.7")
    assert not registry.has(wanted)
    registry.push(wanted, tmp_path, architecture="amd64")
    assert registry.has(wanted)
    manifest = json.loads(fake.manifests["coredns/coredns", "v1.14.7"])
    config = json.loads(fake.blobs["coredns/coredns", manifest["config"]["digest"]])
    assert config["config"] == {"Entrypoint": ["program"]}
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_an_image_with_other_content_is_not_there(registry: Registry, tmp_path: Path) -> None:
    registry.push(image("docker.io/some/program:v1"), tmp_path, architecture="amd64")
    assert not registry.has(image("docker.io/some/program:v1", "another program"))


def test_a_manifest_is_found_by_its_digest_where_it_was_pushed(
    fake: FakeRegistry, registry: Registry, tmp_path: Path
) -> None:
    registry.push(image("quay.io/some/program:v1"), tmp_path, architecture="amd64")
    digest = f"sha256:{hashlib.sha256(fake.manifests['some/program', 'v1']).hexdigest()}"
    assert registry.holds("some/program", digest)
    assert not registry.holds("other/program", digest)
    assert not registry.holds("some/program", f"sha256:{'0' * 64}")


def test_a_layer_that_two_images_share_travels_once(fake: FakeRegistry, registry: Registry, tmp_path: Path) -> None:
    for name in ("quay.io/one/program:v1", "quay.io/two/program:v1"):
        registry.push(image(name), tmp_path, architecture="amd64")
    assert fake.uploads == 2  # the layer and the configuration, which are the same
    assert registry.has(image("quay.io/two/program:v1"))


def test_a_registry_that_is_not_there_does_not_answer() -> None:
    assert not Registry("127.0.0.1:9").answers()


def test_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "source").write_text("program")
        files = Files({"/bin/program": File(folder / "source")}, {"/bin/other": "/bin/program"}, {"/home": 999})
        digests.append(write(files, folder)[1])
    assert digests[0] == digests[1]


def test_a_layer_holds_modes_owners_and_links(tmp_path: Path) -> None:
    files = Files({"/etc/passwd": File("root", 0o644)}, {"/bin/sh": "/bin/busybox"}, {"/home/argocd": 999})
    path, _ = write(files, tmp_path)
    with tarfile.open(path) as archive:
        assert archive.getmember("etc/passwd").mode == 0o644
        assert archive.getmember("home/argocd").uid == 999
        assert archive.getmember("bin/sh").linkname == "/bin/busybox"


def test_a_root_file_system_from_the_cache_is_a_layer_as_it_is(tmp_path: Path) -> None:
    archive = tmp_path / "image-0a1b2c"
    archive.write_bytes(b"a tar archive")
    path, digest = write(Archive(archive), tmp_path)
    assert (path, digest) == (archive, f"sha256:{hashlib.sha256(b'a tar archive').hexdigest()}")
