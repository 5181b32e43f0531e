"""What the tests with other people's clients share: one digit, and programs that are no Python packages."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from delivery.programs import Program, Toolbox
from inference.settings import EnvironmentSettings
from inference.triton_environment import ensure_environment
from local_stack.settings import ROOT, StackSettings

PERF_ANALYZER = ROOT / "requirements" / "perf_analyzer.txt"
GRPCURL = Program("github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3")
H2SPEC = Program("github.com/summerwind/h2spec/cmd/h2spec", "v2.2.1+incompatible")
# The first row of scikit-learn's digits, a zero.
ZERO = (
    (0, 0, 5, 13, 9, 1, 0, 0),
    (0, 0, 13, 15, 10, 15, 5, 0),
    (0, 3, 15, 2, 0, 11, 8, 0),
    (0, 4, 12, 0, 0, 8, 8, 0),
    (0, 5, 8, 0, 0, 9, 8, 0),
    (0, 4, 11, 0, 1, 12, 7, 0),
    (0, 2, 14, 5, 10, 12, 0, 0),
    (0, 0, 6, 13, 10, 0, 0, 0),
)

RunProgram = Callable[..., str]


@pytest.fixture
def zero() -> np.ndarray:
    """One picture of a zero, as the model wants it."""
    return np.array(ZERO, np.float32).reshape(1, 64)


@pytest.fixture
def run_program() -> RunProgram:
    """Run a program to its end and return what it printed; its failure is the test's."""

    def run(command: Sequence[str | Path], *, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    """Return grpcurl."""
    return _go_program(GRPCURL)


@pytest.fixture(scope="session")
def h2spec() -> Path:
    """Return h2spec, the conformance suite of HTTP/2 servers."""
    return _go_program(H2SPEC)


def _go_program(program: Program) -> Path:
    """Return a program: the installed one, or built by Go and kept in the cache."""
    if installed := shutil.which(program.name):
        return Path(installed)
    if shutil.which("go") is None:
        reason = f"neither {program.name} nor Go, which could build it, is installed"
        if StackSettings.read().environment.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Toolbox().program(program)


@pytest.fixture(scope="session")
def perf_analyzer() -> tuple[Path, dict[str, str]]:
    """Return Triton's own load generator and the environment that it runs in; made once, kept in the cache."""
    settings = EnvironmentSettings()
    triton = ensure_environment(settings)
    folder = settings.cache.expanduser() / "perf_analyzer-2.51.0"
    if not folder.is_dir():
        aside = folder.with_name(f"{folder.name}.{triton.folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        _fetch(aside)
        libraries = triton.site_packages / "nvidia_pytriton.libs"
        for name, pattern in (("libcudart.so.12", "libcudart-*"), ("libb64.so.0d", "libb64-*")):
            (aside / name).symlink_to(next(libraries.glob(pattern)))
        aside.rename(folder)
    return folder / "perf_analyzer", {"LD_LIBRARY_PATH": str(folder)}


def _fetch(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "--requirement", PERF_ANALYZER, "--dest", folder], check=True
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith("/perf_analyzer"))
        (folder / "perf_analyzer").write_bytes(packed.read(name))
    (folder / "perf_analyzer").chmod(0o755)
    wheel.unlink()
