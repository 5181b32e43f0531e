"""Programs built by a real Go from a module proxy that is a folder."""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from sandbox.binaries import Binary
from sandbox.cache import Cache
from sandbox.commands import CommandFailed
from sandbox.go_build import GoBuilder
from sandbox.progress import Step

pytestmark = pytest.mark.component

MODULE = "example.org/greeting"
WORDS = 'package greeting\n\n// Word is what is said.\nconst Word = "unpatched"\n'
MAIN = """\
package main

import "example.org/greeting"

var stamp = "none"

func main() { println(greeting.Word, stamp) }
"""
PATCH = """\
--- a/greeting.go
+++ b/greeting.go
@@ -4 +4 @@
-const Word = "unpatched"
+const Word = "patched"
"""


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoBuilder:
    if not shutil.which("go"):
        if os.environ.get("CI") == "true":  # noqa: TID251
            pytest.fail("CI has no Go")
        pytest.skip("this machine has no Go")
    monkeypatch.setenv("GOPROXY", f"file://{serve(tmp_path / 'proxy')}")
    monkeypatch.setenv("GONOSUMDB", "*")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    family = tmp_path / "tools" / "greeter"
    family.mkdir(parents=True)
    (family / "main.go").write_text(MAIN)
    (family / "go.mod").write_text(f"module greeter\n\ngo 1.26.0\n\nrequire {MODULE} v1.0.0\n")
    subprocess.run(["go", "mod", "tidy"], cwd=family, check=True, capture_output=True, timeout=60)
    return GoBuilder(tmp_path / "tools", Cache(tmp_path / "cache"))


def serve(proxy: Path) -> Path:
    """Lay a module out as the module proxy's protocol does."""
    versions = proxy / MODULE / "@v"
    versions.mkdir(parents=True)
    go_mod = f"module {MODULE}\n\ngo 1.26.0\n"
    (versions / "list").write_text("v1.0.0\n")
    (versions / "v1.0.0.info").write_text(json.dumps({"Version": "v1.0.0"}))
    (versions / "v1.0.0.mod").write_text(go_mod)
    with zipfile.ZipFile(versions / "v1.0.0.zip", "w") as archive:
        archive.writestr(f"{MODULE}@v1.0.0/go.mod", go_mod)
        archive.writestr(f"{MODULE}@v1.0.0/greeting.go", WORDS)
    return proxy


def said_by(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=10).stderr.strip()


def patch(builder: GoBuilder) -> None:
    family = builder.tools / "greeter"
    (family / "other-word.patch").write_text(PATCH)
    with (family / "go.mod").open("a") as pins:
        pins.write(f"replace {MODULE} => ./patched\n")


GREETER = Binary("greeter", "greeter", ".", ("main.stamp=v1",))


@pytest.mark.requirement("SANDBOX-003")
def test_a_program_is_built_once_with_its_version_in_it(builder: GoBuilder) -> None:
    program = builder.build(GREETER, Step("first"))
    built = program.stat()
    assert said_by(program) == "unpatched v1"
    assert builder.build(GREETER, Step("second")).stat() == built


def test_another_version_is_another_program(builder: GoBuilder) -> None:
    assert builder.entry(GREETER) != builder.entry(Binary("greeter", "greeter", ".", ("main.stamp=v2",)))


def test_a_program_is_built_with_its_tags_and_is_another_one_with_others(builder: GoBuilder) -> None:
    tagged = '//go:build brief\n\npackage main\n\nfunc init() { stamp = "brief" }\n'
    (builder.tools / "greeter" / "brief.go").write_text(tagged)
    brief = Binary("greeter", "greeter", ".", tags=("brief",))
    assert builder.entry(brief) != builder.entry(Binary("greeter", "greeter", "."))
    assert said_by(builder.build(brief, Step("tagged"))) == "unpatched brief"


def test_a_patch_is_applied_to_a_copy_of_the_pinned_module(builder: GoBuilder) -> None:
    before = builder.entry(GREETER)
    patch(builder)
    assert builder.entry(GREETER) != before
    assert said_by(builder.build(GREETER, Step("patched"))) == "patched v1"
    assert "unpatched" in (builder.module_folder("greeter", MODULE) / "greeting.go").read_text()


def test_a_module_that_is_not_what_go_sum_says_is_refused(builder: GoBuilder, tmp_path: Path) -> None:
    sums = builder.tools / "greeter" / "go.sum"
    forged = "\n".join(f"{line.partition('h1:')[0]}h1:{'A' * 43}=" for line in sums.read_text().splitlines())
    sums.write_text(f"{forged}\n")
    shutil.rmtree(tmp_path / "modules")
    with pytest.raises(CommandFailed, match="SECURITY ERROR"):
        builder.build(GREETER, Step("forged"))
