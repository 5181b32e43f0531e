"""Which control groups a machine mounts, read from what the kernel says."""

import pytest
from sandbox.cgroups import hierarchies, mounted_controllers

FIRST = """\
30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
32 25 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw"""
SECOND = "29 23 0:25 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"


@pytest.mark.requirement("SANDBOX-006")
def test_both_versions_are_found_on_a_machine_that_mounts_both() -> None:
    found = [(str(each.group), each.version, each.controllers) for each in hierarchies(FIRST)]
    assert found == [
        ("/sys/fs/cgroup/cpu,cpuacct/fairlead-sandbox", 1, "cpu,cpuacct"),
        ("/sys/fs/cgroup/systemd/fairlead-sandbox", 1, "none,name=systemd"),
        ("/sys/fs/cgroup/unified/fairlead-sandbox", 2, ""),
    ]


@pytest.mark.requirement("SANDBOX-006")
def test_the_unified_hierarchy_is_found() -> None:
    assert [(str(each.mount), each.version) for each in hierarchies(SECOND)] == [("/sys/fs/cgroup", 2)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [("rw,cpuset,clone_children", "cpuset"), ("rw,xattr,release_agent=/lib/agent,name=systemd", "none,name=systemd")],
)
def test_a_hierarchy_is_mounted_again_by_its_controllers_alone(options: str, expected: str) -> None:
    assert mounted_controllers(options) == expected
