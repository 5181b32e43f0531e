import hashlib
from pathlib import Path

import pytest
import yaml
from training.errors import TrainingError
from training.package import describe, package_digest, write_package

FILES = {"model.onnx": b"weights", "golden.json": b"{}"}


def record(path: Path) -> dict[str, object]:
    document: dict[str, object] = yaml.safe_load(path.read_text())
    return document


@pytest.mark.requirement("TRAINING-005")
def test_the_digest_is_the_sha256_of_the_canonical_manifest() -> None:
    digest = package_digest([describe("a", b"x")])
    manifest = f'[{{"path":"a","sha256":"{hashlib.sha256(b"x").hexdigest()}","size":1}}]'
    assert digest == "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()


@pytest.mark.requirement("TRAINING-005")
def test_the_digest_binds_names_and_bytes_but_not_the_order_of_listing() -> None:
    base = [describe(path, content) for path, content in FILES.items()]
    renamed = [describe("other.onnx", b"weights"), base[1]]
    swapped = [describe("model.onnx", b"{}"), describe("golden.json", b"weights")]
    digests = [package_digest(files) for files in (base, renamed, swapped)]
    assert len(set(digests)) == 3
    assert package_digest(base[::-1]) == digests[0]


@pytest.mark.requirement("TRAINING-005")
def test_each_new_package_gets_the_next_version_and_a_known_one_stays_as_it_is(tmp_path: Path) -> None:
    first = write_package(tmp_path, FILES, provenance={"code_commit": "aaa"})
    second = write_package(tmp_path, FILES | {"model.onnx": b"better"}, provenance={"code_commit": "bbb"})
    again = write_package(tmp_path, FILES, provenance={"code_commit": "ccc"})
    assert [(each.version, each.new) for each in (first, second, again)] == [(1, True), (2, True), (1, False)]
    assert again.path == first.path
    assert record(first.path)["code_commit"] == "aaa"


@pytest.mark.requirement("TRAINING-005")
def test_a_damaged_blob_is_written_anew(tmp_path: Path) -> None:
    write_package(tmp_path, FILES, provenance={})
    blob = tmp_path / "blobs" / "sha256" / hashlib.sha256(b"weights").hexdigest()
    blob.write_bytes(b"damaged")
    write_package(tmp_path, FILES, provenance={})
    assert blob.read_bytes() == b"weights"


def test_a_release_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "0123456789ab.yaml").write_text("digest: only")
    with pytest.raises(TrainingError, match=r"0123456789ab\.yaml is not a release record: restore it"):
        write_package(tmp_path, FILES, provenance={})


@pytest.mark.requirement("TRAINING-005")
def test_every_committed_release_is_what_its_blobs_say(committed: Path) -> None:
    releases = sorted((committed / "releases").glob("*.yaml"))
    assert releases
    for path in releases:
        release = yaml.safe_load(path.read_text())
        contents = {
            entry["path"]: (committed / "blobs" / "sha256" / entry["sha256"]).read_bytes() for entry in release["files"]
        }
        digest = package_digest([describe(name, content) for name, content in contents.items()])
        assert release["digest"] == digest
        assert path.stem == digest.removeprefix("sha256:")[:12]
    versions = sorted(yaml.safe_load(path.read_text())["version"] for path in releases)
    assert versions == list(range(1, len(releases) + 1))
