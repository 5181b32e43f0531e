"""What is said when a machine lacks something that Triton needs."""

from pathlib import Path

import pytest
from inference.settings import EnvironmentSettings
from inference.triton_environment import TritonEnvironment, ensure_environment
from service_runtime.process import StartError

LOADER = "{}: error while loading shared libraries: {}: cannot open shared object file: No such file or directory"


def program(path: Path, complaint: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{complaint}' >&2\n")
    path.chmod(0o755)


@pytest.mark.requirement("INFERENCE-011")
@pytest.mark.parametrize(
    ("library", "advice"),
    [("libpython3.11.so.1.0", r"apt install libpython3\.1"), ("libb64.so.0d", "apt install the package that holds it")],
)
def test_a_missing_library_is_named_with_what_to_install(tmp_path: Path, library: str, advice: str) -> None:
    environment = TritonEnvironment(tmp_path)
    program(environment.program)
    program(environment.stub, LOADER.format(environment.stub, library))
    with pytest.raises(StartError, match=rf"Triton needs {library}, which this machine lacks.*{advice}"):
        ensure_environment(EnvironmentSettings(triton_environment=tmp_path))


@pytest.mark.requirement("INFERENCE-011")
def test_a_folder_without_triton_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"INFERENCE_TRITON_ENVIRONMENT: .* holds no tritonserver"):
        ensure_environment(EnvironmentSettings(triton_environment=tmp_path))


@pytest.mark.requirement("INFERENCE-011")
def test_a_failed_download_leaves_nothing_behind(tmp_path: Path) -> None:
    requirements = tmp_path / "triton.txt"
    requirements.write_text("numpy==1.26.4\n")  # without a hash
    with pytest.raises(StartError, match="uv pip failed"):
        ensure_environment(EnvironmentSettings(triton_requirements=requirements, cache=tmp_path / "cache"))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["triton.lock"]


@pytest.mark.requirement("INFERENCE-011")
def test_a_missing_requirement_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"triton.txt is missing. Run from the repository"):
        ensure_environment(EnvironmentSettings(triton_requirements=tmp_path / "triton.txt", cache=tmp_path))
