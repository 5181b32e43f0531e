"""Given a cluster that runs what is committed here: the fixtures of every story."""

import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from local_stack.settings import ROOT
from sandbox.problem import Problem
from sandbox.progress import Progress, in_words
from storykit.callers import Callers, calling
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.dump import dump
from storykit.figures import Figure, Figures
from storykit.fork import bring_up
from storykit.story import Story, following

ARTIFACTS = ROOT / "artifacts" / "e2e"
STORY_S = 900
FIGURES = pytest.StashKey[Figures]()
CLUSTER = pytest.StashKey[Cluster]()
BEGAN = pytest.StashKey[float]()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(STORY_S))
    yield


@pytest.fixture(scope="session")
def progress() -> Progress:
    return Progress()


@pytest.fixture(scope="session")
def any_cluster(pytestconfig: pytest.Config) -> Cluster:
    """The sandbox of this machine, whatever it runs."""
    try:
        pytestconfig.stash[CLUSTER] = Cluster.running()
    except Problem as problem:
        pytest.exit(str(problem), returncode=2)
    return pytestconfig.stash[CLUSTER]


@pytest.fixture(scope="session")
def session_clone(any_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone.of(ROOT, tmp_path_factory.mktemp("clone") / "fairlead", any_cluster.repository)


@pytest.fixture(scope="session")
def cluster(any_cluster: Cluster, session_clone: Clone, progress: Progress) -> Iterator[Cluster]:
    """The sandbox, once it runs what is committed here. Leave it so."""
    serve_base(any_cluster, session_clone, progress)
    yield any_cluster
    serve_base(any_cluster, session_clone, progress)


@pytest.fixture
def clone(cluster: Cluster, session_clone: Clone, progress: Progress) -> Iterator[Clone]:
    """A working copy of HEAD to change and push from; afterwards the cluster runs the same again."""
    session_clone.reset()
    yield session_clone
    session_clone.reset()
    if session_clone.main_is_base() and cluster.runs_local():
        cluster.await_healthy()
    else:
        serve_base(cluster, session_clone, progress)


def serve_base(cluster: Cluster, clone: Clone, progress: Progress) -> None:
    """Push HEAD unless it is there, and wait until the cluster runs it."""
    main = clone.main()
    if main and not cluster.runs_local():
        with progress.step("      local is brought up again"):
            bring_up(cluster, clone.folder / "clusters" / "local" / "root")
    if main != clone.base:
        with progress.step(f"      {clone.base[:12]} is pushed") as step:
            push = clone.push(on_line=partial(following, step))
            assert push.deployed, push.output
    cluster.await_healthy()


@pytest.fixture
def story(
    request: pytest.FixtureRequest, progress: Progress, record_testsuite_property: Callable[[str, object], None]
) -> Story:
    """Tells given, when and then, with the time that each takes, and keeps what is measured."""
    items, stash = request.session.items, request.config.stash
    began = stash.setdefault(BEGAN, time.monotonic())
    where = f"{items.index(request.node) + 1} of {len(items)}, after {in_words(time.monotonic() - began)}"
    progress.say(f"\n{sentence(request.node)}  ({where})")
    figures = stash.setdefault(FIGURES, Figures(ARTIFACTS / "figures.json"))

    def record(figure: Figure) -> None:
        figures.record(figure)
        record_testsuite_property(figure.name, figure.value)

    return Story(progress, record)


@pytest.fixture
def callers(cluster: Cluster, request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Callers]]:
    """A steady load: `with callers() as load`, and afterwards load.lost()."""
    folder = folder_of(request.node)
    folder.mkdir(parents=True, exist_ok=True)
    return partial(calling, cluster, folder / "requests.csv")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Dump what the cluster says of a story that failed."""
    report = yield
    cluster = item.config.stash.get(CLUSTER, None)
    if report.failed and cluster and item.get_closest_marker("e2e"):
        folder = folder_of(item) / report.when
        shutil.rmtree(folder, ignore_errors=True)
        dump(cluster, folder)
        print(f"  what the cluster says: {folder.relative_to(ROOT)}")
        report.sections.append(("what the cluster says", str(folder)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(FIGURES, None)
    if figures and figures.rows:
        terminalreporter.section("measured")
        for line in figures.table():
            terminalreporter.line(line)


def folder_of(item: pytest.Item) -> Path:
    return ARTIFACTS / re.sub(r"\W+", "-", item.name.removeprefix("test_")).strip("-")


def sentence(item: pytest.Item) -> str:
    words = item.name.removeprefix("test_").replace("_", " ").replace("[", " (").replace("]", ")")
    return words[:1].upper() + words[1:]
