"""The git remote that lets a person type git push sandbox in the checkout that started it."""

from pathlib import Path

from sandbox.commands import CommandFailed, output_of
from sandbox.git_service import REPOSITORY

NAME = "sandbox"


def name_remote(checkout: Path, url: str) -> str:
    """Make the sandbox's git server a remote of a checkout; return what to type when that cannot be done."""
    try:
        known = _url(checkout)
        if known and not _is_ours(known):
            return f"git push {url} HEAD:main  (the remote {NAME} of this checkout is {known})"
        output_of(["git", "-C", str(checkout), "remote", *(("set-url",) if known else ("add",)), NAME, url])
    except CommandFailed:
        return f"git push {url} HEAD:main  ({checkout} is no git checkout)"
    return f"git push {NAME} HEAD:main"


def forget_remote(checkout: Path) -> None:
    """Remove the remote, unless it is somebody else's."""
    try:
        if _is_ours(_url(checkout)):
            output_of(["git", "-C", str(checkout), "remote", "remove", NAME])
    except CommandFailed:
        return  # no checkout, no remote


def _url(checkout: Path) -> str:
    remotes = output_of(["git", "-C", str(checkout), "remote"]).split()
    return output_of(["git", "-C", str(checkout), "remote", "get-url", NAME]).strip() if NAME in remotes else ""


def _is_ours(url: str) -> bool:
    # The address and the port may have been others when it was named.
    return url.startswith("http://") and url.endswith(f"/{REPOSITORY}")
