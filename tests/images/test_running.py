"""Each image runs as the manifests run it, holds what it should, and is the same when it is built again."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from delivery.images.buildah import Build
from delivery.images.inputs import Inputs
from delivery.images.library import Image, Library
from local_stack.settings import ROOT

SMOKE = ROOT / "services" / "gateway" / "deploy" / "components" / "smoke"
GPU = ROOT / "services" / "inference" / "Dockerfile.gpu"
OPERATIONS = {"preprocessing": 9091, "monitoring": 9092, "inference": 9093, "gateway": 9090}
FORBIDDEN = ("pip", "pip3", "uv", "gcc", "cc", "make", "ld", "git")
LABELS = ("title", "version", "revision", "created", "source", "base.name", "base.digest")
pytestmark = [pytest.mark.images, pytest.mark.timeout(900)]
every_service = pytest.mark.parametrize("service", sorted(OPERATIONS))


@pytest.mark.requirement("IMAGES-001")
def test_the_four_containers_together_answer_the_golden_prediction(pod: Any) -> None:
    for name, port in OPERATIONS.items():
        pod.await_ready(name, port)
    done = pod.ask("python3", "-I", str(SMOKE / "smoke.py"), "http://127.0.0.1:8080", "digits", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digits sha256:" in done.stdout


@pytest.mark.requirement("IMAGES-001")
@every_service
def test_a_container_is_nobody_and_cannot_write_its_root(pod: Any, service: str) -> None:
    pod.await_ready(service, OPERATIONS[service])
    assert pod.execute(service, "id", "-u").stdout == "65532\n"
    refused = pod.execute(service, "touch", "/opt/fairlead/new")
    assert "Read-only file system" in refused.stderr


@pytest.mark.requirement("IMAGES-002")
@every_service
def test_an_image_holds_nothing_that_builds_or_installs(pod: Any, service: str) -> None:
    found = pod.execute(service, "sh", "-c", f"command -v {' '.join(FORBIDDEN)}; python -m pip 2>/dev/null && echo pip")
    assert found.stdout == ""


@pytest.mark.requirement("IMAGES-003")
@every_service
def test_labels_say_what_an_image_is_and_what_it_was_made_from(
    library: Library, images: Mapping[str, Image], service: str
) -> None:
    labels = library.config(images[service])["Labels"]
    assert {name: labels.get(f"org.opencontainers.image.{name}") for name in LABELS if name != "created"} == {
        "title": f"fairlead/{service}",
        "version": "0.1.0",
        "revision": images[service].revision,
        "source": Inputs.of(ROOT, service).source,
        "base.name": "docker.io/library/python:3.11-slim-bookworm",
        "base.digest": library.base.digest,
    }


@pytest.mark.requirement("IMAGES-004")
@every_service
def test_the_bill_of_materials_lists_debian_and_python_packages(
    library: Library, images: Mapping[str, Image], service: str
) -> None:
    bill = json.loads(library.bill(images[service]).read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["purl"].endswith(images[service].digest)
    names = {component["purl"].partition("@")[0] for component in bill["components"]}
    own = {f"pkg:pypi/{service}", "pkg:pypi/grpcio", "pkg:deb/debian/libc6"}
    assert own | ({"pkg:pypi/nvidia-pytriton"} if service == "inference" else set()) <= names


@pytest.mark.requirement("IMAGES-005")
@every_service
def test_an_image_built_again_from_nothing_has_the_same_digest(
    library: Library, images: Mapping[str, Image], service: str
) -> None:
    assert library.rebuilt(images[service], Inputs.of(ROOT, service)) == images[service].digest


@pytest.mark.requirement("IMAGES-008")
def test_the_gpu_image_builds_up_to_where_nvidias_begins(library: Library, tmp_path: Path) -> None:
    """NVIDIA's image is 20 GB and not always to be had; what comes before it is not."""
    own = GPU.read_text().partition("\nFROM ${TRITON_IMAGE}")[0]
    inputs = Inputs.of(ROOT, "inference")
    inputs.write(tmp_path)
    (tmp_path / "Dockerfile").write_text(own)
    lines: list[str] = []
    build = Build(
        "localhost/fairlead/gpu-wheels:built", tmp_path, tmp_path / "Dockerfile", {"PYTHON_IMAGE": library.base.name}
    )
    library.buildah.build(build, lines.append)
    with library.buildah.mounted(build.name) as root:
        wheels = sorted(path.name.partition("-")[0] for path in (root / "build" / "wheels").glob("*.whl"))
    assert wheels == ["inference", "service_runtime"], "\n".join(lines[-20:])


@pytest.mark.requirement("IMAGES-008")
def test_all_that_the_gpu_image_installs_exists_for_its_python(tmp_path: Path) -> None:
    version = re.findall(r"--python /usr/bin/python(3\.\d+) /opt/fairlead", GPU.read_text())
    assert len(version) == 1
    command: list[str | Path] = [ROOT / ".venv/bin/uv", "pip", "install", "--dry-run", "--no-build", "--require-hashes"]
    command += ["--python-version", *version, "--target", tmp_path, "-r", ROOT / "requirements/inference.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " + grpcio==" in done.stderr
