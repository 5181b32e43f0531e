"""The control plane: kubeadm's configuration, and one run of kubeadm init."""

import yaml

from sandbox.binaries import KUBERNETES
from sandbox.images import COREDNS_TAG, ETCD_TAG
from sandbox.node import Node
from sandbox.settings import API_PORT, NODE_IP, NODE_NAME, POD_RANGE, SERVICE_RANGE

CONFIG_FILE = "/etc/sandbox/kubeadm.yaml"
_SOCKET = "unix:///run/containerd/containerd.sock"
_IGNORED = ("SystemVerification", "Hostname", "Service-kubelet", "NumCPU", "Mem", "Swap")
_INIT_S = 300


def initialise(node: Node) -> None:
    """Run kubeadm init inside the node; it returns once the control plane answers."""
    skipped = f"--ignore-preflight-errors={','.join(_IGNORED)}"
    node.run(["mkdir", "-p", "/etc/sandbox"])
    node.run(["tee", CONFIG_FILE], text=configuration())
    node.run(["kubeadm", "init", f"--config={CONFIG_FILE}", skipped], timeout_s=_INIT_S)


def credentials(node: Node) -> str:
    """Return the administrator's kubeconfig."""
    return node.run(["cat", "/etc/kubernetes/admin.conf"])


def configuration() -> str:
    """Return kubeadm's four documents."""
    return yaml.safe_dump_all([_init(), _cluster(), _kubelet(), _kube_proxy()], sort_keys=False)


def _init() -> dict[str, object]:
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": NODE_IP, "bindPort": API_PORT},
        "nodeRegistration": {
            "name": NODE_NAME,
            "criSocket": _SOCKET,
            "taints": [],  # the only node runs everything
            "kubeletExtraArgs": _arguments(**{"node-ip": NODE_IP}),
        },
    }


def _cluster() -> dict[str, object]:
    # One of each manager: nobody to elect, and no lease written every two seconds.
    alone = {"extraArgs": _arguments(**{"leader-elect": "false"})}
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": "fairlead-sandbox",
        "kubernetesVersion": KUBERNETES,
        "networking": {"podSubnet": POD_RANGE, "serviceSubnet": SERVICE_RANGE},
        "dns": {"imageTag": COREDNS_TAG},
        # The sandbox's state is worth nothing after a power cut, and fsync is what slow disks are slow at.
        "etcd": {"local": {"imageTag": ETCD_TAG, "extraArgs": _arguments(**{"unsafe-no-fsync": "true"})}},
        "controllerManager": alone,
        "scheduler": alone,
    }


def _kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # lowering it needs CAP_SYS_RESOURCE, which virtual machines may lack
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }


def _kube_proxy() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "oomScoreAdj": 0,
        # These limits belong to the whole machine; inside a network namespace they cannot be written.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _arguments(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]
