"""Every image that the sandbox's manifests ask for, made here under upstream's names."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox.binaries import ARGO_CD, ARGO_ROLLOUTS, ISTIO, KUBERNETES, PROMETHEUS
from sandbox.layers import Archive, File, Files
from sandbox.node_files import PAUSE_IMAGE
from sandbox.registry import Image

ETCD_TAG = "3.6.14"
COREDNS_TAG = "v1.14.7"
NETPOL_TAG = "v1.1.0"
_BIN = "/usr/local/bin"
_PATH = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARGO_USER = 999
_PROXY_USER = 1337
_NOBODY = 65534
_ARGO_NAMES = (
    "server",
    "repo-server",
    "application-controller",
    "applicationset-controller",
    "cmp-server",
    "commit-server",
    "dex",
    "k8s-auth",
    "notifications",
)
_USERS = "root:x:0:0:root:/root:/bin/sh\nargocd:x:999:999::/home/argocd:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_GROUPS = "root:x:0:\nargocd:x:999:\nnogroup:x:65534:\n"


def control_plane(programs: Mapping[str, Path], debian: Path) -> Iterator[Image]:
    """Return what kubeadm itself needs."""
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        yield _scratch(f"registry.k8s.io/{name}:{KUBERNETES}", {name: programs[name]})
    yield _scratch(f"registry.k8s.io/etcd:{ETCD_TAG}", {name: programs[name] for name in ("etcd", "etcdctl")})
    yield _scratch(PAUSE_IMAGE, {"pause": programs["pause"]}, "pause")
    yield _scratch(f"registry.k8s.io/coredns/coredns:{COREDNS_TAG}", {"coredns": programs["coredns"]}, "coredns")
    proxy = Files({f"{_BIN}/kube-proxy": File(programs["kube-proxy"])})
    yield Image(f"registry.k8s.io/kube-proxy:{KUBERNETES}", (Archive(debian), proxy), {"Env": [_PATH]})


def addons(programs: Mapping[str, Path], debian: Path) -> Iterator[Image]:
    """Return what storage, network policies and metrics need."""
    provisioner = "local-path-provisioner"
    yield _scratch(f"docker.io/rancher/{provisioner}:v0.0.30", {provisioner: programs[provisioner]})
    yield Image("docker.io/library/busybox:latest", (Archive(debian),), {"Env": [_PATH], "Cmd": ["sh"]})
    metrics = {"metrics-server": programs["metrics-server"]}
    yield _scratch("registry.k8s.io/metrics-server/metrics-server:v0.9.0", metrics, "metrics-server")
    agent = Files({"/bin/netpol": File(programs["netpol"])})
    yield Image(f"registry.k8s.io/networking/kube-network-policies:{NETPOL_TAG}", (agent,), {"Cmd": ["/bin/netpol"]})


def argo_cd(programs: Mapping[str, Path], debian: Path, module: Path) -> Iterator[Image]:
    """Return Argo CD's images: its server, Redis, and what stands in for dex."""
    links = {f"{_BIN}/argocd-{name}": f"{_BIN}/argocd" for name in _ARGO_NAMES}
    scripts = {"entrypoint.sh": "", "gpg-wrapper.sh": "hack", "git-verify-wrapper.sh": "hack"}
    files = Files(
        {
            "/etc/passwd": File(_USERS, 0o644),
            "/etc/group": File(_GROUPS, 0o644),
            "/app/config/ssh/ssh_known_hosts": File("", 0o644),
            **{f"{_BIN}/{name}": File(programs[name]) for name in ("argocd", "helm", "kustomize")},
            **{f"{_BIN}/{name}": File((module / folder / name).read_text()) for name, folder in scripts.items()},
        },
        links | {"/etc/ssh/ssh_known_hosts": "/app/config/ssh/ssh_known_hosts"},
        {
            "/home/argocd": _ARGO_USER,
            "/app/config/tls": 0,
            "/app/config/gpg/source": 0,
            "/app/config/gpg/keys": _ARGO_USER,
        },
    )
    config = {
        "User": str(_ARGO_USER),
        "WorkingDir": "/home/argocd",
        "Env": [_PATH, "USER=argocd", "GRPC_ENABLE_TXT_SERVICE_CONFIG=false"],
        "Entrypoint": ["/usr/bin/tini", "--"],
    }
    base = Archive(debian)
    yield Image(f"quay.io/argoproj/argocd:{ARGO_CD}", (base, files), config)
    redis = {"Env": [_PATH], "User": "999", "WorkingDir": "/", "Entrypoint": ["redis-server"]}
    yield Image("public.ecr.aws/docker/library/redis:8.2.3-alpine", (base,), redis)
    dex = Files({f"{_BIN}/dex": File(programs["no-dex"])})
    yield Image("ghcr.io/dexidp/dex:v2.45.1", (dex,), {"Env": [f"PATH={_BIN}"], "User": "1001"})


def mesh(programs: Mapping[str, Path], debian: Path, envoy: Path, module: Path) -> Iterator[Image]:
    """Return Istio's images: control plane, proxy around plain Envoy, and what redirects the traffic of pods."""
    base = Archive(debian)
    user = {"User": f"{_PROXY_USER}:{_PROXY_USER}"}
    pilot = Files({f"{_BIN}/pilot-discovery": File(programs["pilot-discovery"])})
    entrypoint = {"Entrypoint": [f"{_BIN}/pilot-discovery"]}
    yield Image(f"docker.io/istio/pilot:{ISTIO}", (base, pilot), {"Env": [_PATH], **user, **entrypoint})
    bootstrap = module / "tools/packaging/common/envoy_bootstrap.json"
    proxy = Files(
        {
            f"{_BIN}/pilot-agent": File(programs["pilot-agent"]),
            f"{_BIN}/envoy": File(envoy / "envoy/_bin/envoy"),
            "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json": File(bootstrap.read_text(), 0o644),
        },
        folders={"/etc/istio/proxy": _PROXY_USER, "/var/lib/istio/data": _PROXY_USER},
    )
    entrypoint = {"Entrypoint": [f"{_BIN}/pilot-agent"]}
    yield Image(f"docker.io/istio/proxyv2:{ISTIO}", (base, proxy), {"Env": [_PATH], **user, **entrypoint})
    installer = Files(
        {
            "/opt/cni/bin/istio-cni": File(programs["istio-cni"]),
            f"{_BIN}/install-cni": File(programs["install-cni"]),
        }
    )
    config = {"Env": [f"{_PATH}:/opt/cni/bin"], "WorkingDir": "/opt/cni/bin", "Cmd": [f"{_BIN}/install-cni"]}
    yield Image(f"docker.io/istio/install-cni:{ISTIO}", (base, installer), config)


def rollouts(programs: Mapping[str, Path], debian: Path) -> Iterator[Image]:
    """Return what releases step by step."""
    base = Archive(debian)
    controller = Files({"/bin/rollouts-controller": File(programs["rollouts-controller"])})
    config = {"Env": [_PATH], "User": "999", "WorkingDir": "/", "Entrypoint": ["/bin/rollouts-controller"]}
    yield Image(f"quay.io/argoproj/argo-rollouts:{ARGO_ROLLOUTS}", (base, controller), config)


def prometheus(programs: Mapping[str, Path]) -> Iterator[Image]:
    """Return what measures the steps; without its page, which is no part of the module."""
    files = Files({"/bin/prometheus": File(programs["prometheus"])}, folders={"/prometheus": _NOBODY})
    config = {"Env": [_PATH], "User": str(_NOBODY), "WorkingDir": "/prometheus", "Entrypoint": ["/bin/prometheus"]}
    yield Image(f"quay.io/prometheus/prometheus:{PROMETHEUS}", (files,), config)


def _scratch(name: str, programs: Mapping[str, Path], entrypoint: str = "") -> Image:
    files = Files({f"{_BIN}/{program}": File(path) for program, path in programs.items()})
    config: dict[str, object] = {"Env": [f"PATH={_BIN}"]}
    if entrypoint:
        config["Entrypoint"] = [f"{_BIN}/{entrypoint}"]
    return Image(name, (files,), config)
