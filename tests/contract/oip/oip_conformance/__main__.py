"""Judge a server: PYTHONPATH=tests/contract/oip python -m oip_conformance HTTP_HOST:PORT GRPC_HOST:PORT."""

import argparse
import sys

from oip_conformance.judge import cases, judge
from oip_conformance.target import Target


def main() -> int:
    """Print each case that differs; return how the process should exit."""
    parser = argparse.ArgumentParser(prog="oip_conformance", description="Differences of a server from the kit.")
    parser.add_argument("http", help="host:port of REST")
    parser.add_argument("grpc", help="host:port of gRPC")
    parser.add_argument("--gentle", action="store_true", help="leave out what is known to end a Triton 2.51")
    arguments = parser.parse_args()
    target = Target(arguments.http, arguments.grpc)
    judged = different = 0
    for name, transport, vector in cases():
        if arguments.gentle and transport in vector.get("ends_triton", ()):
            continue
        judged += 1
        if wrong := judge(target, transport, vector):
            different += 1
            print(f"{name}\n    {wrong}")
    print(f"{judged} cases, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
