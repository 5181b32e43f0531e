"""Triton and its Python packages from PyPI, in a folder of their own, made on demand and kept in the cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from service_runtime.process import StartError

from inference.settings import EnvironmentSettings

log = structlog.get_logger()

_LAYOUT = "1"  # part of the cache key: raise it when the folder's form changes
_PYTHONS = ((3, 11), (3, 12))  # for which there are both a stub and a numpy 1
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class TritonEnvironment:
    """A folder that Triton and its Python backend run from."""

    folder: Path

    @property
    def programs(self) -> Path:
        """The folder that belongs first on PATH."""
        return self.folder / "bin"

    @property
    def site_packages(self) -> Path:
        """The folder that the packages are installed in."""
        return self.folder / "lib" / f"python{_PYTHON}" / "site-packages"

    @property
    def program(self) -> Path:
        """The tritonserver program."""
        return self._bundle / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        """The folder to give as --backend-directory."""
        return self._bundle / "backends"

    @property
    def stub(self) -> Path:
        """The program that a Python model runs in; it embeds this interpreter's version of Python."""
        return self.backends / "python" / "triton_python_backend_stub"

    @property
    def bundled_stub(self) -> Path:
        """Where the package keeps the stub of this interpreter's version."""
        return self._bundle / "python_backend_stubs" / _PYTHON / self.stub.name

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables that the program needs."""
        libraries = (self.site_packages / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR"))
        return {
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
            # The stub's interpreter ignores PYTHONPATH; it finds its environment as that of the first python3 on PATH.
            "PATH": os.pathsep.join((str(self.programs), os.defpath)),
            "OMP_NUM_THREADS": "1",
        }

    @property
    def _bundle(self) -> Path:
        return self.site_packages / "pytriton" / "tritonserver"


def ensure_environment(settings: EnvironmentSettings) -> TritonEnvironment:
    """Return a working environment, made now if need be; StartError says what the machine lacks."""
    if settings.triton_environment is not None:
        environment = TritonEnvironment(settings.triton_environment)
        if not environment.program.is_file():
            raise StartError(f"INFERENCE_TRITON_ENVIRONMENT: {settings.triton_environment} holds no tritonserver.")
    else:
        environment = _cached(settings.triton_requirements, settings.cache.expanduser())
    for program in (environment.program, environment.stub):
        _check_libraries(program, environment.variables)
    return environment


def build_environment(folder: Path, requirements: Path) -> TritonEnvironment:
    """Install the packages into `folder` and complete the Python backend with its stub."""
    if sys.version_info[:2] not in _PYTHONS:
        raise StartError(f"Triton's Python backend runs under Python 3.11 or 3.12; this is {_PYTHON}.")
    if not requirements.is_file():
        raise StartError(f"{requirements} is missing. Run from the repository, or set INFERENCE_TRITON_ENVIRONMENT.")
    environment = TritonEnvironment(folder)
    _run_uv("venv", "--relocatable", "--python", sys.executable, folder)
    packages = ("--no-deps", "--require-hashes", "--requirement", requirements)
    _run_uv("pip", "install", "--python", environment.programs / "python", *packages)
    shutil.copy2(environment.bundled_stub, environment.stub)
    return environment


def _cached(requirements: Path, cache: Path) -> TritonEnvironment:
    content = requirements.read_bytes() if requirements.is_file() else b""
    key = hashlib.sha256(f"{_LAYOUT} {_PYTHON} ".encode() + content).hexdigest()
    folder = cache / f"triton-{key[:16]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / "triton.lock"):
            if not folder.is_dir():
                _build_aside(folder, requirements)
    return TritonEnvironment(folder)


def _build_aside(folder: Path, requirements: Path) -> None:
    """Build beside `folder` and rename, so that nobody ever sees half of an environment."""
    log.info("triton.environment_building", folder=str(folder), download="about 200 MB, once")
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as aside:
        complete = Path(aside) / "complete"
        build_environment(complete, requirements)
        complete.rename(folder)
    log.info("triton.environment_built", folder=str(folder))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_uv(*arguments: str | Path) -> None:
    beside = Path(sys.executable).parent / "uv"
    uv = beside if beside.is_file() else shutil.which("uv")
    if uv is None:
        raise StartError("uv, which makes Triton's environment, is neither beside this Python nor on PATH: make setup")
    if subprocess.run([uv, *arguments[:1], "--quiet", *arguments[1:]], stdout=sys.stderr, check=False).returncode:
        raise StartError(f"uv {arguments[0]} failed while making Triton's environment; what it says is above.")


def _check_libraries(program: Path, variables: Mapping[str, str]) -> None:
    """Start the program for a moment: the loader names a library that is missing."""
    outcome = subprocess.run([program, "--help"], env=dict(variables), capture_output=True, text=True, check=False)
    marker = "error while loading shared libraries: "
    if marker not in outcome.stderr:
        return
    library = outcome.stderr.split(marker)[1].split(":")[0]
    package = f"libpython{_PYTHON}" if library.startswith("libpython") else "the package that holds it"
    raise StartError(
        f"Triton needs {library}, which this machine lacks. On Debian or Ubuntu: apt install {package}. "
        "A Python built from source has it when configured with --enable-shared."
    )
