"""Regenerate the typed stubs in proto/src from proto/fairlead: generate.py [OTHER FOLDER]."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent
PACKAGE = "fairlead"


def main() -> None:
    """Generate into a temporary folder and swap, so that deleted protos leave no stubs behind."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / PACKAGE).rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        flags = [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
        plugins = [
            f"--plugin={name}={Path(sys.executable).parent / name}"
            for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
        ]
        subprocess.check_call(
            [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", *plugins, *flags, *sources]
        )
        for folder in (out / PACKAGE, *(path for path in (out / PACKAGE).rglob("*") if path.is_dir())):
            (folder / "__init__.py").write_text('"""Generated from proto/ by make proto."""\n')
            (folder / "py.typed").touch()
        target = (Path(sys.argv[1]) if sys.argv[1:] else ROOT / "src") / PACKAGE
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(out / PACKAGE, target)
    print(f"{len(sources)} protos generated into {target}")


if __name__ == "__main__":
    main()
