"""How proposals are named, and which of them still fit."""

from delivery.repository import Repository

_PREFIX = "revert"
_SHORT = 12


def branch_of(service: str, main: str) -> str:
    """Return the branch with the revert of what a service got by this commit of main."""
    return f"{_PREFIX}/{service}-{main[:_SHORT]}"


def proposed(repository: Repository) -> dict[str, str]:
    """Return the branches that are one push away from main as it is now, by service."""
    main = repository.git("for-each-ref", "--format=%(objectname)", "refs/heads/main")
    listed = repository.git("for-each-ref", "--format=%(refname:lstrip=2)", f"refs/heads/{_PREFIX}/").splitlines()
    split = ((name.removeprefix(f"{_PREFIX}/").rpartition("-"), name) for name in listed)
    return {service: name for (service, _, commit), name in split if main.startswith(commit)}
