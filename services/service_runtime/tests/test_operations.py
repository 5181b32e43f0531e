"""The operations port's metrics, over real HTTP."""

import asyncio
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from service_runtime.http_server import HttpServer
from service_runtime.operations import create_operations_app
from service_runtime.readiness import Readiness
from service_runtime.settings import ServiceSettings

StartSample = Callable[..., Any]


def test_metrics_are_in_prometheus_form(start_sample: StartSample) -> None:
    sample = start_sample()
    sample.wait_for("process.started")
    with urllib.request.urlopen(f"http://127.0.0.1:{sample.operations_port}/metrics", timeout=5) as response:
        assert response.headers["content-type"].startswith("text/plain")
        families = {family.name for family in text_string_to_metric_families(response.read().decode())}
    assert "process_resident_memory_bytes" in families


async def test_configz_hides_secrets() -> None:
    class Settings(ServiceSettings):
        token: SecretStr = SecretStr("swordfish")

    app = create_operations_app(Settings(), Readiness(), build_info=dict)
    async with HttpServer(app, host="127.0.0.1", port=0, grace=1) as server:
        text = await fetch(f"http://127.0.0.1:{server.port}/configz")
    assert "swordfish" not in text
    assert '"token": "**********"' in text


@pytest.mark.requirement("RUNTIME-004")
def test_what_no_route_takes_is_a_problem_that_says_where_to_look(start_sample: StartSample) -> None:
    sample = start_sample()
    sample.wait_for("process.started")
    status, problem = sample.operations("/nothing")
    assert (status, problem["code"]) == (404, "NOT_FOUND")
    assert "/readyz" in problem["detail"]


@pytest.mark.requirement("RUNTIME-002")
async def test_a_second_http_server_on_a_port_is_refused_by_name() -> None:
    app = create_operations_app(ServiceSettings(), Readiness(), build_info=dict)
    async with HttpServer(app, host="127.0.0.1", port=0, grace=1) as server:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{server.port}"):
            async with HttpServer(app, host="127.0.0.1", port=server.port, grace=1):
                pass


async def fetch(url: str) -> str:
    def read() -> str:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.read().decode()

    return await asyncio.to_thread(read)
