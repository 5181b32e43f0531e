"""What a person needs to understand a story that failed, as files."""

from collections.abc import Iterator
from pathlib import Path

from sandbox.commands import CommandFailed, output_of

from storykit.cluster import Cluster

_CONTROLLERS = (
    "statefulset/argocd-application-controller",
    "deployment/argocd-applicationset-controller",
    "deployment/argocd-repo-server",
    "deployment/argocd-server",
)


def dump(cluster: Cluster, folder: Path) -> None:
    """Write applications, events, pods, logs and the deployed commits; what cannot be had is said in its file."""
    folder.mkdir(parents=True, exist_ok=True)
    kubectl = [str(cluster.kubectl.program), f"--kubeconfig={cluster.kubectl.kubeconfig}"]
    commands = {
        "applications.yaml": [*kubectl, "get", "applications", "--namespace=argocd", "--output=yaml"],
        "pods.txt": [*kubectl, "get", "pods", "--all-namespaces", "--output=wide"],
        "events.txt": [*kubectl, "get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"],
        "objects.txt": [
            *kubectl,
            "describe",
            "pods,deployments,hpa,endpointslices",
            f"--namespace={cluster.namespace}",
        ],
        "git.txt": ["git", "-C", str(cluster.git_folder), "log", "--all", "--graph", "--stat", "-20"],
    }
    for name in _CONTROLLERS:
        logs = ["logs", name, "--namespace=argocd", "--tail=3000", "--timestamps"]
        commands[f"{name.partition('/')[2]}.log"] = [*kubectl, *logs]
    for name, arguments in _logs(cluster):
        commands[name] = [*kubectl, *arguments]
    for file, command in commands.items():
        (folder / file).write_text(_said(command))


def _logs(cluster: Cluster) -> Iterator[tuple[str, list[str]]]:
    try:
        pods = cluster.kubectl.pods(f"--namespace={cluster.namespace}")
    except CommandFailed:
        return  # the other files say why
    for name in (pod["metadata"]["name"] for pod in pods):
        logs = ["logs", name, f"--namespace={cluster.namespace}", "--all-containers", "--timestamps", "--tail=2000"]
        yield f"{name}.log", logs
        yield f"{name}.previous.log", [*logs, "--previous"]


def _said(command: list[str]) -> str:
    try:
        return output_of(command, timeout_s=30)
    except CommandFailed as failure:
        return f"{failure}\n"
