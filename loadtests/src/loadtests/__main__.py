"""python -m loadtests run | judge | list: what make load runs."""

import argparse
import subprocess
import sys
from pathlib import Path

from local_stack.service_process import ServiceDied
from local_stack.settings import ROOT

from loadtests.profiles import BadProfile, Profile, read_profile
from loadtests.recording import read
from loadtests.report import draw
from loadtests.slo import BadObjectives, judge, read_thresholds
from loadtests.summary import summary
from loadtests.target import Target, chosen

_HERE = ROOT / "loadtests"
_REPORTS = ROOT / "artifacts" / "loadtests"
_GRACE_SECONDS = 60


class GeneratorFailed(Exception):
    """Locust ended badly."""


def main() -> int:
    """Run one command; 1 says that a threshold was breached, 2 that there was nothing to judge."""
    arguments = _arguments()
    try:
        if arguments.command == "list":
            return _list(arguments.profiles)
        profile = read_profile(arguments.profiles / f"{arguments.profile}.yaml")
        recording = arguments.reports / f"{profile.name}.csv"
        if arguments.command == "run":
            _run(profile, arguments, recording)
        return _judge(profile, recording, arguments.slo)
    except (BadProfile, BadObjectives, ServiceDied, GeneratorFailed) as refusal:
        print(refusal, file=sys.stderr)
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loadtests", description="Load Fairlead and judge it by its objectives.")
    parser.add_argument("--profiles", type=Path, default=_HERE / "profiles", help="folder of the profiles")
    parser.add_argument("--slo", type=Path, default=_HERE / "slo.yaml", help="the thresholds")
    parser.add_argument("--reports", type=Path, default=_REPORTS, help="folder of recordings and pictures")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser(
        "run", help="load and judge; without --host: what make up started, or a stack of its own"
    )
    running.add_argument("--profile", default="smoke")
    running.add_argument("--host", help="base URL of a gateway, for instance http://127.0.0.1:8080")
    running.add_argument("--grpc", help="its gRPC address; by default port 9000 of the host")
    running.add_argument("--ca", type=Path, help="certificate that signs for its TLS, as ca.pem of the sandbox")
    running.add_argument("--tokens", type=Path, help="file of tokens, one a line: make -s token >> FILE")
    judging = commands.add_parser("judge", help="judge the last recording of a profile again")
    judging.add_argument("--profile", default="smoke")
    commands.add_parser("list", help="say which profiles there are")
    return parser.parse_args()


def _list(profiles: Path) -> int:
    for path in sorted(profiles.glob("*.yaml")):
        profile = read_profile(path)
        print(f"{profile.name:<8} {profile.seconds:>6.0f} s  {profile.description}")
    return 0


def _run(profile: Profile, arguments: argparse.Namespace, recording: Path) -> None:
    recording.parent.mkdir(parents=True, exist_ok=True)
    recording.unlink(missing_ok=True)
    with chosen(arguments.host, arguments.grpc) as target:
        print(f"{profile.name}: {profile.description}. {profile.seconds:.0f} s against {target.http_url}", flush=True)
        _generate(profile, arguments, target, recording)


def _generate(profile: Profile, arguments: argparse.Namespace, target: Target, recording: Path) -> None:
    options = ["--profile", str(arguments.profiles / f"{profile.name}.yaml"), "--host", target.http_url]
    options += ["--grpc", target.grpc_address, "--recording", str(recording)]
    options += ["--ca", str(arguments.ca)] if arguments.ca else []
    options += ["--tokens", str(arguments.tokens)] if arguments.tokens else []
    try:
        code = subprocess.call(
            [sys.executable, "-m", "loadtests.generator", *options], timeout=profile.seconds + _GRACE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise GeneratorFailed(f"Locust did not end {_GRACE_SECONDS} s after the last stage.") from None
    if code:
        raise GeneratorFailed(f"Locust ended with exit code {code}.")


def _judge(profile: Profile, recording: Path, slo: Path) -> int:
    if not recording.exists():
        raise BadProfile(f"There is no recording of {profile.name}: python -m loadtests run --profile {profile.name}")
    observations = read(recording)
    thresholds = read_thresholds(slo, profile.name)
    verdicts = judge(observations, thresholds, [kind for kind, weight in profile.mix.items() if weight])
    picture = recording.with_suffix(".png")
    draw(observations, thresholds, title=f"{profile.name}: {profile.description}", path=picture)
    print(f"\n{summary(observations, verdicts)}\nPicture: {picture}")
    return 0 if all(each.holds for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
