"""Port numbers: the fixed ones of a laptop, free ones for tests, and who holds a taken one."""

import os
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from local_stack.services import SERVICES, Ports

_LISTEN = "0A"
_FIRST_FREE = 20_000
_OFFSET_STEP = 100  # moved by this much, a stack stands beside one that is not
_SLOTS = 97
_SLOT_SIZE = 120


class PortsTaken(Exception):
    """Somebody else listens on ports that the stack needs; the message says who and what to do."""


def laptop_ports(offset: int) -> Ports:
    """Return the documented ports, moved by `offset`; raises PortsTaken."""
    ports = _moved_by(offset)
    taken = [
        f"  {number} ({service} {purpose}) is held by {holder_of(number)}"
        for service, numbers in ports.items()
        for purpose, number in numbers.items()
        if not _is_free(number)
    ]
    if taken:
        raise PortsTaken("\n".join(["These ports are taken:", *taken, _way_out(offset)]))
    return ports


def free_ports() -> Ports:
    """Return ports that nobody uses now, different in every call and in every process that runs beside this one."""
    return {spec.name: {purpose: next(_free_numbers) for purpose in spec.ports} for spec in SERVICES}


def holder_of(port: int) -> str:
    """Name the process that listens on `port`, as far as this user may see."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in sockets:
                process = descriptor.parents[1]
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # closed meanwhile
            continue
    return "another user's process"


def _moved_by(offset: int) -> Ports:
    return {spec.name: {purpose: number + offset for purpose, number in spec.ports.items()} for spec in SERVICES}


def _way_out(offset: int) -> str:
    for other in range(offset + _OFFSET_STEP, _FIRST_FREE, _OFFSET_STEP):
        if all(_is_free(number) for numbers in _moved_by(other).values() for number in numbers.values()):
            return f"Stop what holds them, or move every port: FAIRLEAD_PORT_OFFSET={other} make up"
    return "Stop what holds them."


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        rows = table.read_text().splitlines()[1:] if table.exists() else []
        for fields in map(str.split, rows):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _numbers_of_this_process() -> Iterator[int]:
    # Below the range that the kernel takes for connect(): a number from there could be gone before its service binds.
    for number in count(_FIRST_FREE + os.getpid() % _SLOTS * _SLOT_SIZE):
        if _is_free(number):
            yield number


_free_numbers = _numbers_of_this_process()
