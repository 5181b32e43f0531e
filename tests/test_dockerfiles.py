"""What all Dockerfiles have in common, without building them."""

import re
from pathlib import Path

import pytest
from delivery.images.inputs import copied

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = sorted([*ROOT.glob("services/*/Dockerfile*"), ROOT / "loadtests" / "Dockerfile"])
NAMES = [str(path.relative_to(ROOT)) for path in DOCKERFILES]
GPU = ROOT / "services" / "inference" / "Dockerfile.gpu"
LABELS = ("version", "created", "revision", "source", "base.name", "base.digest", "title", "licenses")
every_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=NAMES)


def final_stage(path: Path) -> str:
    return path.read_text().rpartition("\nFROM ")[2]


def stage(path: Path, name: str) -> str:
    return re.split(r"\n\n(?=FROM )", path.read_text().partition(f" AS {name}\n")[2])[0]


@pytest.mark.requirement("IMAGES-007")
@every_dockerfile
def test_everything_from_the_network_is_pinned_by_hash(path: Path) -> None:
    installs = re.findall(r"pip install [^&\n]*", path.read_text())
    assert installs
    ours, theirs = ([line for line in installs if ("wheels/*.whl" in line) is ours] for ours in (True, False))
    assert all("--no-deps" in line for line in ours)
    # Wheels only: what is built from source takes its build tools from the network, by no hash.
    assert all(re.search(r"(--no-build|--only-binary=:all:) --require-hashes -r ", line) for line in theirs)
    assert not re.search(r"\b(apt-get|curl|wget|git clone|ADD http)", path.read_text())


@pytest.mark.requirement("IMAGES-007")
@every_dockerfile
def test_the_image_runs_as_a_number_that_is_not_root(path: Path) -> None:
    assert re.findall(r"^USER (.+)$", final_stage(path), re.MULTILINE) == ["65532:65532"]


@pytest.mark.requirement("IMAGES-007")
@every_dockerfile
def test_no_image_is_named_without_a_version(path: Path) -> None:
    text = path.read_text()
    defaults = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE))
    named = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - set(re.findall(r" AS (\S+)$", text, re.MULTILINE))
    assert named == {f"${{{name}}}" for name in defaults}
    assert defaults.pop("PYTHON_IMAGE") == "docker.io/library/python:3.11-slim-bookworm"
    assert [name for name in defaults.values() if not re.fullmatch(r"\S+/tritonserver:\d\d\.\d\d-py3", name)] == []


@pytest.mark.requirement("IMAGES-003")
@every_dockerfile
def test_every_label_is_set_and_each_argument_is_used(path: Path) -> None:
    final = final_stage(path)
    assert [name for name in LABELS if f"org.opencontainers.image.{name}=" not in final] == []
    arguments = re.findall(r"^ARG ([A-Z_]+)=", final, re.MULTILINE)
    assert [name for name in arguments if f"${name}" not in final] == []


@pytest.mark.requirement("IMAGES-006")
@every_dockerfile
def test_what_is_copied_exists_and_holds_no_tests(path: Path) -> None:
    assert [name for name in copied(path) if not (ROOT / name).exists()] == []
    assert [name for name in copied(path) if re.fullmatch(r"services/\w+|proto", name)] == []


@pytest.mark.requirement("IMAGES-007")
def test_the_gpu_image_is_made_as_the_cpu_image_but_for_triton() -> None:
    cpu = GPU.with_name("Dockerfile")
    assert set(copied(GPU)) == set(copied(cpu)) - {"requirements/triton.txt"}
    assert stage(GPU, "tools") == stage(cpu, "tools")
    differing = {"INFERENCE_BACKEND", "INFERENCE_GPU", "INFERENCE_TRITON_ENVIRONMENT"}
    variables = [set(re.findall(r"\b(INFERENCE_\w+=\S+)", final_stage(each))) for each in (cpu, GPU)]
    assert {each.partition("=")[0] for each in variables[0] ^ variables[1]} == differing
    contracts = [
        re.findall(r"^(?:EXPOSE|USER|COPY models) .*$", final_stage(each), re.MULTILINE) for each in (cpu, GPU)
    ]
    assert sorted(contracts[0]) == sorted(contracts[1])
    commands = [
        re.findall(r'^ENTRYPOINT \["(?:\S*/)?(\S+)", (.*)\]$', final_stage(each), re.MULTILINE) for each in (cpu, GPU)
    ]
    assert commands[0] == commands[1] == [("python", '"-m", "inference"')]


@pytest.mark.requirement("IMAGES-007")
@pytest.mark.parametrize("service", ["preprocessing", "monitoring", "inference"])
def test_the_services_share_the_stages_that_they_can(service: str) -> None:
    """Equal lines are one layer in the cache of whoever builds them."""
    gateway, other = (ROOT / "services" / name / "Dockerfile" for name in ("gateway", service))
    assert stage(other, "tools") == stage(gateway, "tools")
    assert stage(other, "packages") == stage(gateway, "packages").replace("gateway", service)
