"""What the node's daemons and kubeadm are told agrees with itself."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from sandbox.binaries import BINARIES
from sandbox.images import addons, argo_cd, control_plane, mesh, prometheus, rollouts
from sandbox.registry import Image
from sandbox.settings import NODE_IP, POD_RANGE, ROOT, TOOLS

from sandbox import kubeadm, node_files

PROGRAMS = {binary.name: Path(f"{binary.name}-0a1b2c") for binary in BINARIES}


def images(tmp_path: Path) -> list[Image]:
    bootstrap = "tools/packaging/common/envoy_bootstrap.json"
    for script in ("entrypoint.sh", "hack/gpg-wrapper.sh", "hack/git-verify-wrapper.sh", bootstrap):
        (tmp_path / script).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / script).write_text("#!/bin/sh\n")
    base = Path("image-0a1b2c")
    ours = [*control_plane(PROGRAMS, base), *addons(PROGRAMS, base), *argo_cd(PROGRAMS, base, tmp_path)]
    return [
        *ours,
        *mesh(PROGRAMS, base, Path("envoy-0a1b2c"), tmp_path),
        *rollouts(PROGRAMS, base),
        *prometheus(PROGRAMS),
    ]


def documents() -> dict[str, dict[str, object]]:
    return {each["kind"]: each for each in yaml.safe_load_all(kubeadm.configuration())}


def test_every_image_has_a_name_of_its_own_in_a_registry_that_the_node_maps(tmp_path: Path) -> None:
    made = images(tmp_path)
    assert len({image.name for image in made}) == len(made)
    assert {image.name.partition("/")[0] for image in made} <= set(node_files.UPSTREAM_REGISTRIES)


def test_kubeadm_asks_for_images_that_are_made(tmp_path: Path) -> None:
    cluster = documents()["ClusterConfiguration"]
    version, dns, etcd = cluster["kubernetesVersion"], cluster["dns"], cluster["etcd"]
    assert isinstance(dns, dict)
    assert isinstance(etcd, dict)
    asked = {
        *(
            f"registry.k8s.io/kube-{name}:{version}"
            for name in ("apiserver", "controller-manager", "proxy", "scheduler")
        ),
        f"registry.k8s.io/coredns/coredns:{dns['imageTag']}",
        f"registry.k8s.io/etcd:{etcd['local']['imageTag']}",
        node_files.PAUSE_IMAGE,
    }
    assert asked <= {image.name for image in images(tmp_path)}


@pytest.mark.requirement("SANDBOX-012")
def test_addons_ask_for_images_that_are_made(tmp_path: Path) -> None:
    made = {image.name for image in images(tmp_path)}
    folder = ROOT / "platform" / "addons"
    for chart, names in {"istiod": ("pilot", "proxyv2"), "istio-cni": ("install-cni",)}.items():
        source = yaml.safe_load((folder / chart / "application.yaml").read_text())["spec"]["source"]
        images_of = source["helm"]["valuesObject"]["global"]
        assert {f"{images_of['hub']}/{name}:{images_of['tag']}" for name in names} <= made
    [rollouts_image] = yaml.safe_load((folder / "argo-rollouts/application.yaml").read_text())["spec"]["source"][
        "kustomize"
    ]["images"]
    deployment = yaml.safe_load((folder / "prometheus/base/deployment.yaml").read_text())
    asked = {rollouts_image, deployment["spec"]["template"]["spec"]["containers"][0]["image"]}
    assert asked <= made


def test_containerd_pauses_with_our_image_and_finds_the_mirrors() -> None:
    files = node_files.contents()
    runtime = tomllib.loads(files["etc/containerd/config.toml"])["plugins"]["io.containerd.grpc.v1.cri"]
    assert runtime["sandbox_image"] == node_files.PAUSE_IMAGE
    mirrors = runtime["registry"]["config_path"].removeprefix("/")
    hosts = [path for path in files if path.startswith(mirrors)]
    assert len(hosts) == len(node_files.UPSTREAM_REGISTRIES) + 1
    assert all(tomllib.loads(files[path])["server"] == "http://127.0.0.1:5000" for path in hosts)


def test_pods_get_addresses_of_the_range_that_kubernetes_knows() -> None:
    bridge = json.loads(node_files.contents()["etc/cni/net.d/10-bridge.conflist"])["plugins"][0]
    networking = documents()["ClusterConfiguration"]["networking"]
    assert isinstance(networking, dict)
    assert bridge["ipam"]["ranges"] == [[{"subnet": POD_RANGE}]]
    assert networking["podSubnet"] == POD_RANGE


def test_the_api_server_listens_where_this_machine_reaches_it() -> None:
    endpoint = documents()["InitConfiguration"]["localAPIEndpoint"]
    assert isinstance(endpoint, dict)
    assert endpoint["advertiseAddress"] == NODE_IP


def test_every_program_is_pinned_by_a_tools_module_with_checksums() -> None:
    own = {"pause", "no-dex"}  # a file of ours each, without dependencies
    families = {binary.family for binary in BINARIES}
    assert families == {path.parent.name for path in TOOLS.glob("*/go.mod")}
    assert {path.parent.name for path in TOOLS.glob("*/go.sum")} == families - own
