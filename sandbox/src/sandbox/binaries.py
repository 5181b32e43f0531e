"""The programs the sandbox is made of, and the pinned Go modules they are built from."""

from dataclasses import dataclass

KUBERNETES = "v1.35.4"
ARGO_CD = "v3.5.3"
ISTIO = "1.31.0"
ARGO_ROLLOUTS = "v1.9.1"
PROMETHEUS = "v3.15.0"

_KUBERNETES_STAMPS = (
    f"k8s.io/component-base/version.gitVersion={KUBERNETES}",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=35",
    "k8s.io/component-base/version.gitTreeState=clean",
    f"k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}",
)
_ARGO_STAMPS = (f"github.com/argoproj/argo-cd/v3/common.version={ARGO_CD.removeprefix('v')}",)
_ISTIO_STAMPS = (
    f"istio.io/istio/pkg/version.buildVersion={ISTIO}",
    f"istio.io/istio/pkg/version.buildTag={ISTIO}",
    "istio.io/istio/pkg/version.buildHub=docker.io/istio",
    "istio.io/istio/pkg/version.buildStatus=Clean",
)
_HELM_STAMPS = ("helm.sh/helm/v4/internal/version.version=v4.2.0",)
_ROLLOUTS_STAMPS = (f"github.com/argoproj/argo-rollouts/utils/version.version={ARGO_ROLLOUTS.removeprefix('v')}",)


@dataclass(frozen=True, slots=True)
class Binary:
    """One program: the tools module that pins it, its package, the version written into it, what is left out of it."""

    name: str
    family: str
    package: str
    stamps: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


BINARIES = (
    Binary("pause", "pause", "."),
    Binary("no-dex", "no-dex", "."),
    *(
        Binary(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_STAMPS)
        for name in (
            "kubeadm",
            "kubectl",
            "kubelet",
            "kube-proxy",
            "kube-scheduler",
            "kube-controller-manager",
            "kube-apiserver",
        )
    ),
    Binary("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    Binary("etcdctl", "etcd", "go.etcd.io/etcd/etcdctl/v3"),
    Binary("kustomize", "kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),
    Binary("kubeconform", "kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform"),
    Binary("coredns", "coredns", "github.com/coredns/coredns"),
    Binary("local-path-provisioner", "local-path", "github.com/rancher/local-path-provisioner"),
    Binary("netpol", "netpol", "sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard"),
    Binary("metrics-server", "metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    Binary("argocd", "argocd", "github.com/argoproj/argo-cd/v3/cmd", _ARGO_STAMPS),
    *(
        Binary(package.rpartition("/")[2], "istio", f"istio.io/istio/{package}", _ISTIO_STAMPS)
        for package in (
            "pilot/cmd/pilot-discovery",
            "pilot/cmd/pilot-agent",
            "cni/cmd/istio-cni",
            "cni/cmd/install-cni",
            "istioctl/cmd/istioctl",
        )
    ),
    # Istio's module depends on it already. Argo CD renders charts with it.
    Binary("helm", "istio", "helm.sh/helm/v4/cmd/helm", _HELM_STAMPS),
    Binary(
        "rollouts-controller",
        "rollouts",
        "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
        _ROLLOUTS_STAMPS,
    ),
    # Without the ways to find targets in every cloud it compiles faster. Debian's own finds none in Kubernetes.
    Binary(
        "prometheus",
        "prometheus",
        "github.com/prometheus/prometheus/cmd/prometheus",
        (f"github.com/prometheus/common/version.Version={PROMETHEUS.removeprefix('v')}",),
        ("netgo", "remove_all_sd", "enable_kubernetes_sd"),
    ),
)
