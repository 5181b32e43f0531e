"""What a person needs to understand a story that failed, as files."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from local_stack.settings import ROOT
from sandbox.commands import CommandFailed, output_of

from storykit.cluster import Cluster

_DUMP_S = 300.0


def dump(cluster: Cluster, folder: Path) -> None:
    """Write what the sandbox, our pods and git say; what cannot be had is said in its file."""
    subprocess.run([ROOT / "tools" / "dump_cluster", folder], capture_output=True, check=False, timeout=_DUMP_S)
    git = ["git", "-C", str(cluster.git_folder), "log", "--all", "--graph", "--stat", "-20"]
    for file, command in [("git.txt", git), *_logs(cluster)]:
        (folder / file).write_text(_said(command))


def _logs(cluster: Cluster) -> Iterator[tuple[str, list[str]]]:
    try:
        pods = cluster.kubectl.pods(f"--namespace={cluster.namespace}")
    except CommandFailed:
        return  # the other files say why
    kubectl = [str(cluster.kubectl.program), f"--kubeconfig={cluster.kubectl.kubeconfig}"]
    for name in (pod["metadata"]["name"] for pod in pods):
        logs = ["logs", name, f"--namespace={cluster.namespace}", "--all-containers", "--timestamps", "--tail=2000"]
        yield f"{name}.log", [*kubectl, *logs]
        yield f"{name}.previous.log", [*kubectl, *logs, "--previous"]


def _said(command: list[str]) -> str:
    try:
        return output_of(command, timeout_s=30)
    except CommandFailed as failure:
        return f"{failure}\n"
