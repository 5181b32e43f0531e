"""The configuration files of the node's daemons."""

import json
from pathlib import Path

from sandbox.settings import NODE_IP, NODE_NAME, POD_RANGE, REGISTRY_PORT

PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"
UPSTREAM_REGISTRIES = ("registry.k8s.io", "docker.io", "quay.io", "ghcr.io", "public.ecr.aws")

_CONTAINERD = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # A machine without CAP_SYS_RESOURCE refuses lower scores, and every pod would die with "can't get final child's PID".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""
_REGISTRY = f"""\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: /var/lib/docker-registry}}
  delete: {{enabled: true}}
http: {{addr: "0.0.0.0:{REGISTRY_PORT}"}}
"""
_MIRROR = f"""\
server = "http://127.0.0.1:{REGISTRY_PORT}"
[host."http://127.0.0.1:{REGISTRY_PORT}"]
  capabilities = ["pull", "resolve"]
"""


def contents() -> dict[str, str]:
    """Return every file by its path in the node."""
    mirrored = (*UPSTREAM_REGISTRIES, f"{NODE_IP}:{REGISTRY_PORT}")
    return {
        "etc/hostname": f"{NODE_NAME}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{NODE_IP} {NODE_NAME}\n",
        # Nobody answers there: there is no outside, and what a pod asks about it fails after five seconds.
        "etc/resolv.conf": f"nameserver {NODE_IP}\n",
        "etc/containerd/config.toml": _CONTAINERD,
        "etc/docker/registry/config.yml": _REGISTRY,
        "etc/cni/net.d/10-bridge.conflist": json.dumps(_network(), indent=2),
        "usr/local/lib/sandbox/node_init.py": Path(__file__).with_name("node_init.py").read_text(),
        **{f"etc/containerd/certs.d/{registry}/hosts.toml": _MIRROR for registry in mirrored},
    }


def program_name(entry: Path) -> str:
    """Return the plain name of a program in the cache: kubelet-0a1b2c is kubelet."""
    return entry.name.rpartition("-")[0]


def _network() -> dict[str, object]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}
