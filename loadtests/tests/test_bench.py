import subprocess
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from loadtests.bench.accounting import (
    Memory,
    cpu_seconds,
    finished_children_seconds,
    machine_busy_seconds,
    memory,
    tree,
)
from loadtests.bench.contenders import Contender, WrongAnswer, contenders, verify
from loadtests.bench.generator import Call, GeneratorFailed, Load, Outcome, parse
from loadtests.bench.measuring import Sample, percentile, spread
from loadtests.bench.overload import judged
from loadtests.bench.results import table
from loadtests.bench.servers import PEER_ENVIRONMENTS, Servers
from loadtests.bench.targets import ratios, verdicts
from loadtests.traffic import DIGITS, picture, row
from local_stack.ports import free_ports
from local_stack.stack import Stack

from loadtests import payloads

# A parent that only waits for a child that burns CPU, as Triton waits for its model process.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import sys, time
held = bytearray(64 << 20)
while time.process_time() < 0.4:
    pass
print("burnt", flush=True)
sys.stdin.read()
'''])
child.wait()
"""
SUMMARY = """
finished in 652.10ms, 4600.50 req/s, 529.06KB/s
requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 1 5xx
traffic: 345.00KB (353280) total, 12.00KB (12288) headers (space savings 95.00%), 337.50KB (460) data
"""
LOG = (
    "1763733000000000\t200\t1500\n1763733000000100\t503\t90\n1763733000000200\t200\t2500\n1763733000000300\t200\t500\n"
)
ANSWER = payloads.Answer(7, (0.0,) * 7 + (1.0, 0.0, 0.0))


@pytest.fixture
def busy_family() -> Iterator[int]:
    """The pid of a parent whose child has burnt 0.4 s of CPU."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"burnt\n"
        yield parent.pid
        assert parent.stdin is not None
        parent.stdin.close()


@pytest.mark.requirement("LOAD-006")
def test_the_work_of_children_is_charged(busy_family: int) -> None:
    assert cpu_seconds([busy_family]) < 0.4 <= cpu_seconds(tree(busy_family))


@pytest.mark.requirement("LOAD-006")
def test_the_memory_of_children_is_charged(busy_family: int) -> None:
    family, alone = memory(tree(busy_family)), memory([busy_family])
    assert family.rss - alone.rss >= 64 << 20
    assert family.pss <= family.rss


def test_a_process_that_has_ended_costs_nothing_more() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert cpu_seconds([ended.pid]) == 0


@pytest.mark.requirement("LOAD-006")
def test_the_machine_is_seen_to_work_while_a_child_does() -> None:
    busy, children = machine_busy_seconds(), finished_children_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.4: pass"], check=True)
    child = finished_children_seconds() - children
    assert child >= 0.4
    assert machine_busy_seconds() - busy >= 0.8 * child


def test_the_generators_summary_and_log_are_understood() -> None:
    load = parse(SUMMARY, LOG)
    assert (load.requests_per_second, load.seconds, load.data_bytes) == (4600.5, 0.6521, 460)
    assert load.latencies_ms() == [0.5, 1.5, 2.5]
    assert load.latencies_ms(503) == [0.09]


def test_a_generator_without_a_summary_has_failed() -> None:
    with pytest.raises(GeneratorFailed, match="could not connect"):
        parse("could not connect", "")


class Answering(BaseHTTPRequestHandler):
    """Answers with what its path says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"label": %d, "probabilities": [0,0,0,0,0,0,0,1,0,0]}' % int(self.path[1:])
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def answering() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)


def contender(name: str, url: str) -> Contender:
    return Contender(name, "tensor", (), Call(url, b"{}", (), http2=False), payloads.plain_answer)


@pytest.mark.requirement("LOAD-007")
def test_contenders_that_disagree_are_not_timed(answering: str) -> None:
    first, same, other = (contender(name, f"{answering}/{name[-1]}") for name in ("first 7", "same 7", "other 3"))
    assert set(verify([first, same])) == {"first 7", "same 7"}
    with pytest.raises(WrongAnswer, match="other 3"):
        verify([first, same, other])


@pytest.mark.requirement("LOAD-007")
def test_answers_agree_but_for_rounding() -> None:
    rounded = payloads.Answer(7, (1e-7, *ANSWER.probabilities[1:]))
    assert ANSWER.agrees(rounded)
    assert not ANSWER.agrees(payloads.Answer(7, (1e-3, *ANSWER.probabilities[1:])))
    assert not ANSWER.agrees(payloads.Answer(3, ANSWER.probabilities))


def test_ratios_pair_the_rounds() -> None:
    assert ratios([10.0, 40.0, 30.0], [10.0, 20.0, 10.0]) == (2.0, 1.0, 3.0)


@pytest.mark.requirement("LOAD-008")
def test_every_target_against_kserve_is_judged_as_it_starts_and_tuned(tmp_path: Path) -> None:
    ports = {name: {"http": 1, "grpc": 2} for name in PEER_ENVIRONMENTS}
    servers = Servers(Stack(tmp_path, ports=free_ports(), environment={}), ports, groups={})
    costs = {each.name: 90.0 if "Fairlead" in each.name else 100.0 for each in contenders(servers)}
    costs |= {name: 200.0 for name in costs if "as it starts" in name}
    samples = {name: [Sample(1e6 / cost, 1, 1, {"all": cost}, 0)] for name, cost in costs.items()}
    judged = [each for each in verdicts(samples, samples, Memory(1, 1), {}) if "KServe" in each.figure]
    assert len(judged) == 10
    assert [each.met for each in judged] == ["as it starts" in each.figure for each in judged]


def test_percentile_and_spread() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0], 0.99) == 1.0
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


def test_the_cost_of_a_sample_is_that_of_all_its_processes() -> None:
    assert Sample(1, 1, 1, {"gateway": 100.0, "triton": 50.0}, 0).total_cpu_us == 150


def load(outcomes: Sequence[tuple[int, int]], rate: float) -> Load:
    return Load(rate, 2.0, 0, tuple(Outcome(status, latency) for status, latency in outcomes))


def test_overload_judges_accepted_calls_alone_and_counts_what_is_neither() -> None:
    calm = load([(200, 10_000)] * 10, 100)
    stressed = load([(200, 20_000)] * 10 + [(503, 1_000)] * 9 + [(500, 1_000)], 300)
    measured = judged(150, calm, stressed)
    assert measured.ratio == 2.0
    assert (measured.accepted_rate, measured.refused_p99, measured.refused_share) == (5.0, 1.0, 0.5)
    assert measured.others == {500: 1}


def test_tables_are_markdown() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_pictures_are_those_of_the_drawing_page_and_the_row_is_one_of_the_models() -> None:
    assert all(picture(digit).startswith(b"\x89PNG") for digit in DIGITS)
    assert len(row()) == 64
    assert set(row()) <= {float(count) for count in range(17)}


def test_the_bench_says_which_program_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "apt install nghttp2-client" in done.stderr
