"""Which ports the stack takes, and what it says when they are not free."""

import os
import re
import socket

import pytest
from local_stack.ports import PortsTaken, free_ports, laptop_ports
from local_stack.settings import BadSetting, StackSettings

FAR_AWAY = 5_000


@pytest.mark.requirement("STACK-005")
def test_a_taken_port_is_reported_with_its_holder_and_the_way_out() -> None:
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", 8080 + FAR_AWAY))
        squatter.listen()
        with pytest.raises(PortsTaken) as refusal:
            laptop_ports(FAR_AWAY)
    message = str(refusal.value)
    assert re.search(rf"{8080 + FAR_AWAY} \(gateway http\) is held by .+ \(pid {os.getpid()}\)", message)
    (offset,) = re.findall(r"FAIRLEAD_PORT_OFFSET=(\d+) make up", message)
    assert laptop_ports(int(offset)), "what it proposes is free"


def test_the_offset_moves_every_port() -> None:
    home, moved = laptop_ports(FAR_AWAY), laptop_ports(FAR_AWAY + 1)
    for service, ports in home.items():
        for purpose, number in ports.items():
            assert moved[service][purpose] == number + 1


def test_free_ports_are_all_different() -> None:
    numbers = [
        number for stack in (free_ports(), free_ports()) for ports in stack.values() for number in ports.values()
    ]
    assert len(set(numbers)) == len(numbers)


def test_an_offset_that_is_no_number_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_PORT_OFFSET", "lots")
    with pytest.raises(BadSetting, match="whole number such as 100; it is 'lots'"):
        StackSettings.read()
