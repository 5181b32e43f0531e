"""How much memory the node and its pods hold, without what the kernel would give back."""

from sandbox import cgroups

_ANONYMOUS = ("total_rss", "anon")


def in_use() -> int:
    """Return the bytes in use; 0 when nothing runs."""
    for hierarchy in cgroups.of_this_machine():
        statistics = hierarchy.group / "memory.stat"
        if statistics.exists():
            pairs = dict(line.split() for line in statistics.read_text().splitlines())
            return next((int(pairs[name]) for name in _ANONYMOUS if name in pairs), 0)
    return 0
