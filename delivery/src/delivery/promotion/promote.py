"""Promotion: the release file of one environment, copied byte for byte to the next."""

import hashlib
from collections.abc import Mapping

from sandbox.problem import Problem

from delivery.programs import Toolbox
from delivery.promotion.move import ALL, Move, NewRelease, choose, made, require_committed
from delivery.promotion.release import Release, short
from delivery.repository import Repository
from delivery.stages import release_path, require_step


def promote(repository: Repository, toolbox: Toolbox, *, service: str, source: str, target: str) -> Move:
    """Commit the copy of one release, or of all that differ, to a branch."""
    require_step(source, target)
    services = choose(repository, source, service)
    for name in services:
        choose(repository, target, name)
    require_committed(repository, [release_path(each, name) for each in (source, target) for name in services])
    new = {name: _content(repository, source, name) for name in services}
    differing = {name: text for name, text in new.items() if text != _content(repository, target, name)}
    released = {name: text for name, text in differing.items() if Release.parse(text).has(name)}
    _require_any(new, differing, released, service=service, source=source, target=target)
    return made(
        repository,
        toolbox,
        environment=target,
        branch=f"promote/{service}-to-{target}-{_digest(released)}",
        title=f"Promote {', '.join(released)} to {target}",
        changes=[NewRelease(name, text, _message(name, text, source, target)) for name, text in released.items()],
    )


def _content(repository: Repository, environment: str, service: str) -> str:
    return repository.content("HEAD", release_path(environment, service))


def _require_any(
    new: Mapping[str, str],
    differing: Mapping[str, str],
    released: Mapping[str, str],
    *,
    service: str,
    source: str,
    target: str,
) -> None:
    if released:
        return
    if not any(Release.parse(text).has(name) for name, text in new.items()):
        says = f"{source} has no release of {'any service' if service == ALL else service}."
        raise Problem(says, "The release workflow writes the first one: merge into main, then git pull")
    if not differing:
        says = f"Nothing to promote: {target} runs the same release of {service} as {source}."
        raise Problem(says, "Is the newest release there? git pull")
    raise Problem(f"{source} has no release of {', '.join(differing)}.", "See: git log -- clusters")


def _message(service: str, text: str, source: str, target: str) -> str:
    digests = "\n".join(f"{name}@{digest}" for name, digest in Release.parse(text).digests.items())
    return f"Promote {service} to {target}\n\nWhat {source} runs, byte for byte:\n\n{digests}"


def _digest(released: Mapping[str, str]) -> str:
    return short(hashlib.sha256("".join(released.values()).encode()).hexdigest())[:8]
