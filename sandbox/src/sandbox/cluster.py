"""The whole sandbox: a provider's Kubernetes, and on it what every environment needs to be deployed from git."""

from collections.abc import Iterator
from datetime import UTC, datetime

from sandbox import argo_cd
from sandbox.checks import Finding, port, refuse
from sandbox.commands import CommandFailed
from sandbox.git_service import GitService
from sandbox.kind import KindProvider
from sandbox.kubectl import Kubectl, is_new, trouble_of
from sandbox.memory import in_use
from sandbox.policy_probe import prove_enforcement
from sandbox.progress import Progress
from sandbox.provider import Provider
from sandbox.remote import forget_remote, name_remote
from sandbox.settings import ROOT, SandboxSettings
from sandbox.source import SourceProvider
from sandbox.state import State
from sandbox.upstream import ARGO_CD

_HEALTHY_S = 300.0


class Sandbox:
    """What the commands do."""

    def __init__(self, settings: SandboxSettings, provider: Provider | None = None) -> None:
        self._settings = settings
        self._state = State(settings.state, settings.cache / "lock")
        self._provider = provider or (KindProvider if settings.provider == "kind" else SourceProvider)(settings)
        self._progress = Progress()

    def up(self) -> int:
        """Bring everything up, or what is missing of it."""
        refuse(self._requirements())
        with self._state.held():
            self._state.claim(self._provider.name)
            kubectl = self._provider.up(self._progress)
            with self._progress.step("git server"):
                self._git().start()
            self._argo_cd(kubectl)
            self._see_that_it_works(kubectl)
        self._progress.say(self._welcome())
        return 0

    def down(self) -> int:
        """Remove everything; what is kept by content in the cache stays."""
        with self._state.held():
            self._state.refuse_strangers()
            GitService(self._settings, address="").stop()
            self._provider.down(self._progress)
            self._state.remove()
            forget_remote(ROOT)
        self._progress.say(f"Nothing is left but the cache, {self._settings.cache}")
        return 0

    def status(self) -> int:
        """Print what runs and what is wrong with it."""
        if not self._state.owner():
            self._progress.say("No sandbox runs on this machine. Start one with: make cluster")
            return 1
        wrong = _print(self._cluster_findings(), self._progress)
        self._progress.say(f"  memory {in_use() / 2**30:.1f} GB")
        if not wrong:
            self._progress.say(self._places())
        return int(wrong)

    def doctor(self) -> int:
        """Print all that status prints, and whether the machine has what the sandbox needs."""
        self._progress.say("This machine")
        wrong = _print(self._requirements(), self._progress)
        if self._state.owner():
            self._progress.say("The sandbox")
            wrong |= _print(self._cluster_findings(), self._progress)
        self._progress.say("Something is wrong." if wrong else "All is well.")
        return int(wrong)

    def _git(self) -> GitService:
        # Its address may exist only once the cluster's network does.
        return GitService(self._settings, self._provider.host_address())

    def _requirements(self) -> Iterator[Finding]:
        yield from self._provider.requirements(running=self._provider.running())
        if not GitService(self._settings, address="").pid():
            yield port(self._settings.git_port)

    def _argo_cd(self, kubectl: Kubectl) -> None:
        with self._progress.step("Argo CD"):
            argo_cd.install(kubectl, self._provider.manifests().render(ARGO_CD))

    def _see_that_it_works(self, kubectl: Kubectl) -> None:
        with self._progress.step("network policies are enforced"):
            prove_enforcement(kubectl)
        with self._progress.step("everything is healthy") as step:
            namespaces = (*self._provider.namespaces, argo_cd.NAMESPACE)
            kubectl.wait_until_healthy(step, timeout_s=_HEALTHY_S, namespaces=namespaces)
            argo_cd.look_at_git(kubectl)

    def _cluster_findings(self) -> Iterator[Finding]:
        below = list(self._provider.findings())
        yield from below
        if not all(finding.well for finding in below):
            return
        kubectl = self._provider.kubectl()
        try:
            settled = [pod for pod in kubectl.pods() if not is_new(pod, datetime.now(UTC))]
        except CommandFailed as failure:
            yield Finding("API server", f"It does not answer: {failure.output.strip()[-200:]}", "make cluster")
            return
        yield Finding("API server")
        troubles = [trouble for pod in settled if (trouble := trouble_of(pod))]
        for trouble in troubles:
            namespace, _, rest = trouble.partition("/")
            describe = f"kubectl describe pod --namespace {namespace} {rest.split()[0]}"
            yield Finding("pods", f"{trouble} is not ready.", f"KUBECONFIG={self._settings.kubeconfig} {describe}")
        if not troubles:
            yield Finding("pods")
        yield (
            Finding("git server")
            if self._git().answers()
            else Finding("git server", "It does not answer.", "make cluster")
        )

    def _welcome(self) -> str:
        return f"\nThe sandbox is up after {self._progress.total()}, using {in_use() / 2**30:.1f} GB.\n{self._places()}"

    def _places(self) -> str:
        return "\n".join(
            (
                f"  export KUBECONFIG={self._settings.kubeconfig} PATH={self._settings.bin}:$PATH",
                f"  {name_remote(ROOT, self._git().url)}",
                f"  images go to {self._provider.registry_address()}",
            )
        )


def _print(findings: Iterator[Finding], progress: Progress) -> bool:
    wrong = False
    for finding in findings:
        if finding.well:
            progress.say(f"  ok     {finding.subject}")
        else:
            wrong = True
            progress.say(f"  WRONG  {finding.subject}: {finding.wrong}\n         {finding.remedy}")
    return wrong
