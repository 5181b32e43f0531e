"""Sign images and their bills by cosign, as the workflow that runs; check that a release was signed so."""

from collections.abc import Iterable
from pathlib import Path

from sandbox.commands import CommandFailed, output_of
from sandbox.problem import Problem

from delivery.release.images import Pushed, bill_of

_ISSUER = "https://token.actions.githubusercontent.com"
_WORKFLOW = ".github/workflows/release.yaml@refs/heads/main"
_BILL = ("--type", "cyclonedx")
_SECONDS = 300.0


def sign(pushed: Iterable[Pushed], folder: Path) -> None:
    """Sign every image, and its bill of materials as an attestation, without a key of our own."""
    for each in pushed:
        _cosign("sign", "--yes", each.reference)
        _cosign("attest", "--yes", *_BILL, "--predicate", str(bill_of(folder, each.service)), each.reference)


def verify(references: Iterable[str], repository: str) -> None:
    """Raise Problem unless the release workflow of this repository, on main, signed each image and its bill."""
    identity = f"{repository.removesuffix('.git')}/{_WORKFLOW}"
    by = ("--certificate-identity", identity, "--certificate-oidc-issuer", _ISSUER)
    for reference in references:
        try:
            _cosign("verify", *by, reference)
            _cosign("verify-attestation", *_BILL, *by, reference)
        except CommandFailed as failed:
            says = f"{reference} is not signed by {identity}:\n{failed.output.strip()}"
            raise Problem(says, "Do not promote it. Release again from main: gh workflow run release.yaml") from failed


def _cosign(*arguments: str) -> None:
    try:
        output_of(["cosign", *arguments], timeout_s=_SECONDS)
    except FileNotFoundError as missing:
        remedy = "Put cosign on the PATH: go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3"
        raise Problem("cosign is not installed.", remedy) from missing
