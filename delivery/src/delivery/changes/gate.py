"""The gate: a change reaches one environment at a time, unless it says that it is meant for all."""

from collections.abc import Iterable
from pathlib import Path

from delivery.changes.since import Change
from delivery.promotion.release import Release
from delivery.repository import Repository
from delivery.stages import LOCAL

LABEL = "all-environments"
TRAILER = "All-Environments"


def may_go_everywhere(repository: Repository, base: str, labels: Iterable[str]) -> bool:
    """Say whether a label, or a commit since the base, means every environment: then nothing has to be rendered."""
    trailers = f"--format=%(trailers:key={TRAILER},valueonly)"
    return LABEL in labels or bool(repository.git("log", trailers, f"{base}..HEAD").strip())


def refusal(change: Change) -> str:
    """Return why a change may not go in as it is; empty when it may."""
    altered = [each for each in change.differences if each.names and each.environment != LOCAL]
    touched = [each for each in altered if _runs(change, each.environment)]
    if len(touched) <= 1:
        return ""
    lines = [f"This change alters what runs in {len(touched)} environments at once:"]
    lines += [f"  {each.environment:<8} {_few(each.names)}" for each in touched]
    lines += [
        "A mistake in it would reach all of them. Make it in clusters/dev alone, and in the next environment once it",
        f"has run there. If it must go everywhere at once, label the pull request {LABEL}, or say why in a commit:",
        f"  {TRAILER}: <why>",
    ]
    return "\n".join(lines)


def _runs(change: Change, environment: str) -> bool:
    """Say whether anything was ever released there: before that, a mistake reaches nobody."""
    listed = change.repository.git("ls-tree", "-r", "--name-only", change.base, f"clusters/{environment}/apps/")
    releases = [Path(name) for name in listed.splitlines() if name.endswith("/release/kustomization.yaml")]
    return any(Release.parse(change.repository.content(change.base, path)).images for path in releases)


def _few(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
