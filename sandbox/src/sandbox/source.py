"""The provider that needs nothing but root, Go and package registries: everything is built here, once."""

import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from sandbox import images, kubeadm, node_files
from sandbox.binaries import BINARIES
from sandbox.cache import Cache, digest_of
from sandbox.checks import Finding, machine
from sandbox.debian import IMAGE_PACKAGES, NODE_PACKAGES, Debian
from sandbox.envoy import envoy
from sandbox.git_service import UPSTREAM
from sandbox.go_build import GoBuilder
from sandbox.kubectl import Kubectl
from sandbox.mirrors import make_mirrors
from sandbox.node import Node
from sandbox.problem import Problem
from sandbox.progress import Progress
from sandbox.registry import Image, Registry
from sandbox.settings import HOST_IP, NODE_IP, REGISTRY_PORT, TOOLS, SandboxSettings
from sandbox.state import State
from sandbox.upstream import DNS, METRICS, NETWORK_POLICY, STORAGE, Manifests

_NODE_PROGRAMS = ("kubeadm", "kubectl", "kubelet")
_PERSON_PROGRAMS = ("argocd", "istioctl", "kubeconform", "kubectl", "kustomize")
_REGISTRY_S = 20.0
_API_S = 120.0
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class SourceProvider:
    """A one-node kubeadm cluster in namespaces of its own."""

    name = "source"
    namespaces = ("kube-system", "local-path-storage")

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._state = State(settings.state, settings.cache / "lock")
        self._cache = Cache(settings.cache)
        self._go = GoBuilder(TOOLS, self._cache)
        self._node = Node(settings)
        self._registry = Registry(self.registry_address())

    def requirements(self, *, running: bool) -> Iterator[Finding]:
        """Look at what this machine must have."""
        yield from machine(self._settings, running=running)
        other = self._node.other_state()
        if other:
            wrong = f"Another sandbox runs on this machine, with its state in {other}."
            yield Finding("other sandboxes", wrong, f"SANDBOX_STATE={other} make cluster-down")

    def up(self, progress: Progress) -> Kubectl:
        """Build what is missing, start the node, initialise Kubernetes, add storage, policies and metrics."""
        self._cache.sweep()
        programs = self._build(progress)
        root, base = self._root_file_systems(progress)
        self._start_node(progress, root, programs)
        self._push(progress, images.control_plane(programs, base))
        self._push(progress, images.addons(programs, base))
        self._push(progress, images.argo_cd(programs, base, self.manifests().argo_cd_module()))
        self._push_mesh(progress, programs, base)
        self._initialise(progress, root)
        self._add(progress)
        return self.kubectl()

    def _push_mesh(self, progress: Progress, programs: Mapping[str, Path], base: Path) -> None:
        with progress.step("Envoy"):
            proxy = envoy(self._cache)
        istio = self._go.module_folder("istio", "istio.io/istio")
        self._push(progress, images.mesh(programs, base, proxy, istio))
        self._push(progress, images.rollouts(programs, base))
        self._push(progress, images.prometheus(programs))
        with progress.step("upstream's repositories, as far as Applications name them"):
            make_mirrors(self._settings.state / UPSTREAM, self._go.module_folder)

    def manifests(self) -> Manifests:
        """Return the access to upstream's manifests, which kustomize renders."""
        return Manifests(self._go.module_folder, (str(self._program("kustomize")), "build"))

    def kubectl(self) -> Kubectl:
        """Return the access to the cluster."""
        return Kubectl(self._program("kubectl"), self._settings.kubeconfig)

    def running(self) -> bool:
        """Say whether the node runs."""
        return bool(self._node.pid)

    def host_address(self) -> str:
        """Return this machine's end of the link to the node."""
        return HOST_IP

    def registry_address(self) -> str:
        """Return the registry inside the node."""
        return f"{NODE_IP}:{REGISTRY_PORT}"

    def findings(self) -> Iterator[Finding]:
        """Look at the node and its daemons."""
        again = "make cluster"
        if not self._node.pid:
            yield Finding("node", "The node does not run.", again)
            return
        yield Finding("node")
        for daemon in ("containerd", "docker-registry", "kubelet"):
            runs = daemon in self._node.run(["ps", "-e", "-o", "comm="]).split()
            log = self._settings.logs / f"{daemon.removeprefix('docker-')}.log"
            yield Finding(daemon) if runs else Finding(daemon, f"{daemon} does not run.", f"tail {log}")

    def down(self, progress: Progress) -> None:
        """End the node; its mounts, rules and addresses end with it."""
        with progress.step("node ends"):
            self._node.remove()

    def _build(self, progress: Progress) -> Mapping[str, Path]:
        missing = [binary for binary in BINARIES if not self._go.entry(binary).exists()]
        for number, binary in enumerate(missing, 1):
            with progress.step(f"building {binary.name} ({number} of {len(missing)})") as step:
                self._go.build(binary, step)
        if not missing:
            progress.say(f"  ok     {len(BINARIES)} programs from the cache")
        self._link_programs()
        return self._programs

    @cached_property
    def _programs(self) -> Mapping[str, Path]:
        return {binary.name: self._go.entry(binary) for binary in BINARIES}

    def _program(self, name: str) -> Path:
        return self._settings.bin / name

    def _link_programs(self) -> None:
        self._settings.bin.mkdir(exist_ok=True)
        for name in _PERSON_PROGRAMS:
            link = self._program(name)
            link.unlink(missing_ok=True)
            link.symlink_to(self._programs[name])

    def _root_file_systems(self, progress: Progress) -> tuple[Path, Path]:
        debian = Debian(self._cache)
        with progress.step("Debian for the node") as step:
            root = debian.folder("node", NODE_PACKAGES, step)
        with progress.step("Debian for images") as step:
            return root, debian.archive("image", IMAGE_PACKAGES, step)

    def _start_node(self, progress: Progress, root: Path, programs: Mapping[str, Path]) -> None:
        before = self._state.initialised_with()
        if before not in {"", self._made_of(root)}:
            changed = "This checkout's sandbox is another one than the one that runs."
            raise Problem(changed, "make cluster-down cluster")
        if self._node.pid and before:
            return
        with progress.step("node starts"):
            if not before:
                # Half a control plane cannot be continued, and a new node costs a second.
                self._node.remove()
            self._node.start(root, [programs[name] for name in _NODE_PROGRAMS])
            self._await_registry()

    def _made_of(self, root: Path) -> str:
        """Return the digest of everything that a running node and control plane do not take over."""
        programs = [self._programs[name].name for name in _NODE_PROGRAMS]
        return digest_of([root.name, *programs, kubeadm.configuration(), *node_files.contents().values()])

    def _await_registry(self) -> None:
        deadline = time.monotonic() + _REGISTRY_S
        while not self._registry.answers():
            if time.monotonic() > deadline:
                log = self._settings.logs / "registry.log"
                raise Problem(f"The registry at {self._registry.address} does not answer.", f"tail {log}")
            time.sleep(0.1)

    def _push(self, progress: Progress, wanted: Iterable[Image]) -> None:
        for image in wanted:
            if not self._registry.has(image):
                with progress.step(f"image {image.name}"):
                    architecture = _ARCHITECTURES[platform.machine()]
                    self._registry.push(image, self._settings.cache / "scratch", architecture=architecture)

    def _initialise(self, progress: Progress, root: Path) -> None:
        if not self._state.initialised_with():
            with progress.step("kubeadm initialises the control plane"):
                kubeadm.initialise(self._node)
            self._settings.kubeconfig.touch(mode=0o600)
            self._settings.kubeconfig.write_text(kubeadm.credentials(self._node))
            self._state.initialised(self._made_of(root))

    def _add(self, progress: Progress) -> None:
        kubectl, manifests = self.kubectl(), self.manifests()
        with progress.step("API server answers"):
            kubectl.await_api(timeout_s=_API_S)
        with progress.step("names, storage, network policies, metrics"):
            kubectl.apply(DNS.read_text())
            # The second would answer nothing that the first cannot, on the same node, and takes a share of its CPU.
            kubectl.run("scale", "deployment/coredns", "--namespace=kube-system", "--replicas=1")
            for addon in (STORAGE, NETWORK_POLICY, METRICS):
                kubectl.apply(manifests.render(addon))
