"""python -m loadtests.canary: one profile against the gateway, judged by slo.yaml, as the Job of a canary."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from loadtests.profiles import read_profile
from loadtests.recording import read
from loadtests.slo import judge, read_thresholds
from loadtests.summary import summary

_GRACE_SECONDS = 60


def main() -> int:
    """Say what was measured beside what is allowed; 1: a threshold is breached, so the canary is none to promote."""
    parser = argparse.ArgumentParser(prog="loadtests.canary", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/opt/loadtests"), help="with slo.yaml and profiles")
    parser.add_argument("--profile", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--tokens", type=Path, help="file of tokens; without it callers have none")
    parser.add_argument("--arm", default="", help="arm of an experiment that every second caller asks for")
    arguments = parser.parse_args()
    path = arguments.folder / "profiles" / f"{arguments.profile}.yaml"
    profile = read_profile(path)
    with tempfile.TemporaryDirectory() as scratch:
        recording = Path(scratch) / "requests.csv"
        command = [sys.executable, "-m", "loadtests.generator", "--profile", path, "--recording", recording]
        command += ["--host", arguments.host, "--grpc", arguments.grpc, "--arm", arguments.arm]
        if arguments.tokens and arguments.tokens.is_file():
            command += ["--tokens", arguments.tokens]
        # Its exit code tells of Locust's own opinion; what was recorded is judged here.
        subprocess.run(command, check=False, timeout=profile.seconds + _GRACE_SECONDS)
        seen = read(recording)
    verdicts = judge(seen, read_thresholds(arguments.folder / "slo.yaml", profile.name), profile.mix)
    print(summary(seen, verdicts), flush=True)
    return 0 if all(each.holds for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
