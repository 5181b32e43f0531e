"""Root removes folders carefully."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox.removal import remove_tree

REMOVE = """
import sys
from pathlib import Path
from sandbox.problem import Problem
from sandbox.removal import remove_tree
try:
    remove_tree(Path(sys.argv[1]))
except Problem as problem:
    print(problem)
"""


def test_a_folder_is_removed_and_one_that_is_gone_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_text("content")
    remove_tree(folder)
    remove_tree(folder)
    assert not folder.exists()


@pytest.mark.component
@pytest.mark.requirement("SANDBOX-004")
def test_nothing_is_removed_through_a_mount(tmp_path: Path) -> None:
    precious, mounted = tmp_path / "precious", tmp_path / "folder" / "mounted"
    precious.mkdir()
    mounted.mkdir(parents=True)
    (precious / "file").write_text("content")
    script = f'mount --bind {precious} {mounted} && "{sys.executable}" -c "$0" {tmp_path / "folder"}'
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *as_root, "--mount", "sh", "-c", script, REMOVE]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "unshare failed" in refused.stderr:
        pytest.skip(f"this machine allows no namespaces: {refused.stderr}")
    assert f"umount {mounted}" in refused.stdout
    assert (precious / "file").read_text() == "content"
