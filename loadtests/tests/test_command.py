"""python -m loadtests as a person runs it, against servers that the tests hold."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from loadtests.recording import OK, read
from local_stack.eventually import eventually
from local_stack.settings import ROOT
from local_stack.stack import Stack

PROFILE = """
description: Two callers of a test
requests_per_user_second: 10
mix: {rest.infer_json: 1}
stages:
  - {name: short, users: 2, users_per_second: 10, seconds: 1}
"""
SLO = "objectives: {rest.infer_json: {p50_ms: 100, error_rate: 0.01, availability: 0.99}}\n"
SEVEN = [0.0] * 7 + [1.0] + [0.0] * 2


class FakeGateway(ThreadingHTTPServer):
    """Answers every infer request with one label, after a delay, or with an error."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.label, self.delay, self.status, self.answered = 7, 0.0, 200, 0
        self.arms: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeGateway

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        threading.Event().wait(self.server.delay)
        outputs = [{"name": "label", "data": [self.server.label]}, {"name": "probabilities", "data": SEVEN}]
        body = json.dumps({"outputs": outputs}).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.arms.append(self.headers["x-experiment-arm"])
        self.server.answered += 1

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(PROFILE)
    (tmp_path / "slo").write_text(SLO)
    return tmp_path


def load(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    own = ["--profiles", str(folder), "--slo", str(folder / "slo"), "--reports", str(folder)]
    command = [sys.executable, "-m", "loadtests", *own, "run", "--profile", "tiny", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.component
@pytest.mark.requirement("LOAD-001", "LOAD-004")
def test_a_run_within_its_thresholds_exits_zero_and_leaves_a_picture(gateway: FakeGateway, folder: Path) -> None:
    done = load(folder, "--host", gateway.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 3 thresholds hold" in done.stdout
    assert (folder / "tiny.png").exists()


@pytest.mark.component
@pytest.mark.requirement("LOAD-001")
def test_a_slow_server_breaches_and_exits_one(gateway: FakeGateway, folder: Path) -> None:
    gateway.delay = 0.15
    done = load(folder, "--host", gateway.url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 3 thresholds breached" in done.stdout


@pytest.mark.component
@pytest.mark.requirement("LOAD-005")
def test_a_wrong_label_is_an_error_whatever_the_status(gateway: FakeGateway, folder: Path) -> None:
    gateway.label = 3
    done = load(folder, "--host", gateway.url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error: said 3 instead of 7" in done.stdout


@pytest.mark.component
@pytest.mark.requirement("LOAD-003")
def test_an_overloaded_server_is_counted_as_refusing(gateway: FakeGateway, folder: Path) -> None:
    gateway.status = 503
    done = load(folder, "--host", gateway.url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "refused: status 503" in done.stdout


@pytest.mark.component
@pytest.mark.requirement("LOAD-001")
def test_the_job_of_a_canary_has_every_second_caller_ask_for_an_arm(gateway: FakeGateway, folder: Path) -> None:
    (folder / "profiles").mkdir()
    (folder / "tiny.yaml").rename(folder / "profiles" / "tiny.yaml")
    (folder / "slo").rename(folder / "slo.yaml")
    command = [sys.executable, "-m", "loadtests.canary", "--folder", str(folder), "--profile", "tiny"]
    command += ["--host", gateway.url, "--grpc", "127.0.0.1:9", "--arm", "treatment"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(gateway.arms) == {"treatment", None}
    assert gateway.arms.count("treatment") == pytest.approx(len(gateway.arms) / 2, abs=3)


@pytest.mark.component
@pytest.mark.requirement("LOAD-001")
def test_an_unknown_profile_exits_two(folder: Path) -> None:
    (folder / "tiny.yaml").unlink()
    done = load(folder, "--host", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "There is no profile 'tiny'" in done.stderr


@pytest.mark.component
@pytest.mark.requirement("LOAD-009")
def test_a_load_can_be_read_while_it_runs_and_ended_early_without_losing_a_request(
    gateway: FakeGateway, folder: Path
) -> None:
    gateway.delay = 0.5
    (folder / "tiny.yaml").write_text(PROFILE.replace("seconds: 1", "seconds: 600"))
    where = ["--profile", str(folder / "tiny.yaml"), "--host", gateway.url, "--grpc", "127.0.0.1:9"]
    recording = folder / "tiny.csv"
    command = [sys.executable, "-m", "loadtests.generator", *where, "--recording", str(recording)]
    with subprocess.Popen(command) as process:
        eventually(lambda: recording.exists() and len(read(recording)) > 2, within=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert {seen.outcome for seen in read(recording)} == {OK}
    assert gateway.answered == len(read(recording))


@pytest.mark.requirement("LOAD-005")
def test_every_kind_of_request_is_answered_rightly_by_the_real_chain(stack: Stack, folder: Path) -> None:
    every = "rest.predict: 1, grpc.predict: 1, rest.infer_json: 1, rest.infer_binary: 1, grpc.infer: 1"
    (folder / "tiny.yaml").write_text(PROFILE.replace("rest.infer_json: 1", every).replace("users: 2", "users: 5"))
    kinds = [part.partition(":")[0].strip() for part in every.split(",")]
    (folder / "slo").write_text(json.dumps({"objectives": {kind: {"error_rate": 0} for kind in kinds}}))
    began = time.monotonic()
    done = load(folder, "--host", stack.http_url, "--grpc", stack.grpc_address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 5 thresholds hold" in done.stdout
    assert time.monotonic() - began < 45, "a run is bounded"
