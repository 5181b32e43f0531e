"""Run a command that ends with its supervisor: python -I -S tether.py SUPERVISOR_PID COMMAND...

A program of its own, because the other way, code between fork and exec in the supervisor, is not safe in a process
that uses gRPC: its fork handlers start threads in the child, which abort once subprocess closes their descriptors.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for SIGTERM at the supervisor's death, then become the command."""
    supervisor, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it died before the kernel was asked
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main()
