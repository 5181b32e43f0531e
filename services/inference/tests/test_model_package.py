"""Which packages are refused, and with which words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from inference.model_package import load_package
from inference.pins import Pin
from service_runtime.process import StartError

WritePackage = Callable[..., Any]


def extract(written: Any, destination: Path) -> None:
    (pin,) = Pin.parse_all(written.pin)
    load_package(written.models, pin).extract(destination)


def rewrite(release: Path, change: Callable[[Any], None]) -> None:
    record = yaml.safe_load(release.read_bytes())
    change(record)
    release.write_text(yaml.safe_dump(record))


@pytest.mark.requirement("INFERENCE-001")
def test_a_package_that_agrees_with_its_pin_is_extracted_byte_for_byte(
    write_package: WritePackage, tmp_path: Path
) -> None:
    extract(write_package({"model.onnx": b"graph", "extra/names.txt": b"names"}), tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").read_bytes() == b"graph"
    assert (tmp_path / "out" / "extra" / "names.txt").read_bytes() == b"names"


@pytest.mark.requirement("INFERENCE-002")
@pytest.mark.parametrize("content", [b"a Graph", b"a graph, longer", b""])
def test_a_changed_byte_is_refused(write_package: WritePackage, tmp_path: Path, content: bytes) -> None:
    written = write_package()
    written.blob("model.onnx").write_bytes(content)
    with pytest.raises(StartError, match=r"'model.onnx' of the package, has .* the release says .* Restore the file"):
        extract(written, tmp_path / "out")


@pytest.mark.requirement("INFERENCE-002")
def test_a_missing_file_is_refused(write_package: WritePackage, tmp_path: Path) -> None:
    written = write_package()
    written.blob("golden.json").unlink()
    with pytest.raises(StartError, match=r"'golden.json' of the package, is missing. Restore it from git"):
        extract(written, tmp_path / "out")


def swap_names(record: Any) -> None:
    first, second = record["files"]
    first["path"], second["path"] = second["path"], first["path"]


@pytest.mark.requirement("INFERENCE-002")
@pytest.mark.parametrize(
    "change",
    [
        swap_names,
        lambda record: record["files"].pop(),
        lambda record: record["files"][0].update(path="renamed.onnx"),
        lambda record: record.update(digest="sha256:" + "0" * 64),
    ],
    ids=["two names swapped", "a file left out", "a file renamed", "another digest"],
)
def test_a_record_that_disagrees_with_the_pin_is_refused(
    write_package: WritePackage, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    written = write_package()
    rewrite(written.release, change)
    with pytest.raises(StartError, match=r"but the pin is sha256:.* restore it from git, or pin what you mean"):
        extract(written, tmp_path / "out")


@pytest.mark.requirement("INFERENCE-002")
@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", ""])
def test_a_file_outside_the_package_is_refused(write_package: WritePackage, tmp_path: Path, path: str) -> None:
    written = write_package()
    rewrite(written.release, lambda record: record["files"][0].update(path=path))
    with pytest.raises(StartError, match="must be relative and stay inside the package"):
        extract(written, tmp_path / "out")


@pytest.mark.requirement("INFERENCE-003")
def test_an_unknown_model_is_refused_with_those_that_exist(write_package: WritePackage) -> None:
    written = write_package()
    with pytest.raises(StartError, match=r"names model 'letters', but .* holds doubler. Mend the pin"):
        load_package(written.models, Pin("letters", "sha256:" + "0" * 64))


@pytest.mark.requirement("INFERENCE-003")
def test_an_unknown_digest_is_refused(write_package: WritePackage) -> None:
    written = write_package()
    with pytest.raises(StartError, match=r"No release .*000000000000.yaml for the pinned digest .* Pin a release"):
        load_package(written.models, Pin("doubler", "sha256:" + "0" * 64))


@pytest.mark.parametrize("text", ["{", "version: none", "[]"])
def test_a_damaged_record_is_refused(write_package: WritePackage, tmp_path: Path, text: str) -> None:
    written = write_package()
    written.release.write_text(text)
    with pytest.raises(StartError, match="is not what this launcher reads"):
        extract(written, tmp_path / "out")
