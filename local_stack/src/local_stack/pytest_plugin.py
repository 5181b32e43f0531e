"""Fixtures that run the real services, for the tests of any folder."""

import signal
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from local_stack.ports import free_ports
from local_stack.settings import StackSettings
from local_stack.stack import Stack

_STACKS = pytest.StashKey[list[Stack]]()
_CHAIN_FIXTURE = "stack"


class StartStack(Protocol):
    """Starts a stack of the test's own."""

    def __call__(self, *, overrides: Mapping[str, Mapping[str, str]] | None = None, only: Sequence[str] = ()) -> Stack:
        """Start with `overrides` (environment by service), `only` some services; it ends with the test."""


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where the suite runs in a shell's background, which ignores it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Stack]:
    """All services and a real Triton, shared by all tests of the session: leave it as you found it."""
    started = _prepared(tmp_path_factory.mktemp("stack"), pytestconfig)
    with started:
        yield started


@pytest.fixture
def start_stack(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[StartStack]:
    """Start stacks that the test may kill, freeze and misconfigure."""
    own: list[Stack] = []

    def start(*, overrides: Mapping[str, Mapping[str, str]] | None = None, only: Sequence[str] = ()) -> Stack:
        fresh = _prepared(tmp_path / f"stack-{len(own)}", pytestconfig, overrides=overrides, only=only)
        own.append(fresh)
        fresh.start()
        return fresh

    yield start
    for fresh in own:
        fresh.stop()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Give the tests of the shared stack to one worker of pytest-xdist, so that there is one stack."""
    for item in items:
        if _CHAIN_FIXTURE in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("chain"))
            item.add_marker(pytest.mark.chain)
    yield
    if config.getoption("loadgroup", default=False):
        _name_groups(items)


def _name_groups(items: list[pytest.Item]) -> None:
    """Append its group to the id of each item, which is where pytest-xdist's scheduler reads it.

    pytest-xdist 3.8 writes to an attribute that pytest 9.2 no longer has, and so groups nothing.
    """
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
            item._id = item.id.parse(f"{item.nodeid}@{group.args[0]}")  # noqa: SLF001


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what the services logged last to a failure."""
    report = yield
    stacks = item.config.stash.get(_STACKS, [])
    if report.failed and {_CHAIN_FIXTURE, "start_stack"} & set(getattr(item, "fixturenames", ())):
        for each in stacks[-2:]:
            report.sections.append(("the services' last lines", each.last_lines()))
    return report


def _prepared(
    folder: Path,
    config: pytest.Config,
    *,
    overrides: Mapping[str, Mapping[str, str]] | None = None,
    only: Sequence[str] = (),
) -> Stack:
    environment = StackSettings.read().environment
    prepared = Stack(folder, ports=free_ports(), environment=environment, overrides=overrides, only=only)
    config.stash.setdefault(_STACKS, []).append(prepared)
    return prepared
