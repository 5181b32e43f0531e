"""A deadline is kept at every stage, the stage is named, and the next request finds everything as before."""

import asyncio
import contextlib
from typing import Any

import pytest
from local_stack.eventually import eventually_async

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

KINDS = ("native-rest", "native-grpc", "oip-rest", "oip-grpc")
# Enough to get as far as the stage that hangs, on a busy machine too.
SHORT = 1.5
# Far below the patience of the callers, far above what a busy machine adds.
IN_TIME = 5.0
LONG = 25.0


@pytest.mark.requirement("STRESS-101", "STRESS-102")
async def test_a_deadline_that_passes_in_inference_says_so_and_leaves_nothing_behind(
    start_services: Any, frozen_triton: Any
) -> None:
    services = start_services(gateway={"default_timeout": str(SHORT)})
    async with services.caller() as caller:
        for kind in KINDS:
            assert (await caller.call(kind, asked=LONG)).code == "OK"
        with frozen_triton():
            served_by_default = await asyncio.gather(*(caller.call(kind) for kind in KINDS))
            asked = await asyncio.gather(*(caller.call(kind, asked=SHORT) for kind in KINDS))
        for reply in served_by_default:
            assert reply.code == "DEADLINE_EXCEEDED"
            assert "stage 'inference'" in reply.detail
            assert reply.seconds < IN_TIME
        assert {reply.code for reply in asked} == {"DEADLINE_EXCEEDED"}
        assert max(reply.seconds for reply in asked) < IN_TIME
        assert {reply.hints["status"] for reply in asked if "status" in reply.hints} == {"504"}
        for kind in KINDS:
            assert (await caller.call(kind, asked=LONG)).code == "OK"
    assert services.metric("gateway_requests_in_flight") == 0


@pytest.mark.requirement("STRESS-101")
@pytest.mark.parametrize("kind", ["oip-rest", "oip-grpc"])
async def test_the_timeout_parameter_of_the_protocol_is_a_deadline(
    start_services: Any, frozen_triton: Any, kind: str
) -> None:
    services = start_services(gateway={"default_timeout": str(LONG)})
    async with services.caller() as caller:
        assert (await caller.call(kind)).code == "OK"
        with frozen_triton():
            reply = await caller.infer_with_timeout_parameter(kind, SHORT)
    assert (reply.code, "stage 'inference'" in reply.detail) == ("DEADLINE_EXCEEDED", True)
    assert reply.seconds < IN_TIME


@pytest.mark.requirement("STRESS-101", "STRESS-102")
async def test_a_deadline_that_passes_in_preprocessing_says_so_and_leaves_nothing_behind(start_services: Any) -> None:
    services = start_services(gateway={"default_timeout": str(SHORT)})
    native = ("native-rest", "native-grpc")
    async with services.caller() as caller:
        assert (await caller.call("native-rest", asked=LONG)).code == "OK"
        services.stack["preprocessing"].freeze()
        replies = await asyncio.gather(*(caller.call(kind) for kind in native))
        assert (await caller.call("oip-grpc", asked=LONG)).code == "OK"
        services.stack["preprocessing"].thaw()
        for reply in replies:
            assert reply.code == "DEADLINE_EXCEEDED"
            assert "stage 'preprocessing'" in reply.detail
            assert reply.seconds < IN_TIME
        for kind in native:
            assert (await caller.call(kind, asked=LONG)).code == "OK"


@pytest.mark.requirement("STRESS-101")
async def test_a_deadline_that_passes_in_the_queue_says_so(start_services: Any, frozen_triton: Any) -> None:
    services = start_services(gateway={"max_in_flight": "1", "default_timeout": str(SHORT)})
    async with services.caller() as caller, asyncio.TaskGroup() as tasks:
        assert (await caller.call("oip-grpc", asked=LONG)).code == "OK"
        with frozen_triton():
            before = tasks.create_task(caller.call("oip-rest", asked=LONG))
            await eventually_async(services.works)
            replies = await asyncio.gather(*(caller.call(kind) for kind in KINDS))
        assert (await before).code == "OK"
    for reply in replies:
        assert (reply.code, "stage 'queue'" in reply.detail) == ("DEADLINE_EXCEEDED", True)
        assert reply.seconds < IN_TIME


@pytest.mark.requirement("STRESS-103")
async def test_a_caller_in_a_hurry_does_not_wait_for_one_who_is_not(start_services: Any, frozen_triton: Any) -> None:
    """Both need the model's description, which is asked for once; the first has minutes, the second half a second."""
    services = start_services(gateway={"catalog_ttl": "0.001"})
    async with services.caller() as caller, asyncio.TaskGroup() as tasks:
        with frozen_triton():
            patient = tasks.create_task(caller.call("oip-rest", asked=LONG))
            await eventually_async(services.works)
            hurried = await asyncio.gather(*(caller.call(kind, asked=SHORT) for kind in KINDS))
            assert not patient.done()
        assert (await patient).code == "OK"
    assert {reply.code for reply in hurried} == {"DEADLINE_EXCEEDED"}
    assert max(reply.seconds for reply in hurried) < IN_TIME


@pytest.mark.requirement("STRESS-101")
@pytest.mark.parametrize("path", ["/v1/models/digits:predict", "/v2/models/digits/infer"])
async def test_a_deadline_that_passes_while_the_body_comes_says_so(stack: Any, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.ports["gateway"]["http"])
    with contextlib.closing(writer):
        writer.write(
            f"POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: 1000\r\n"
            f"x-request-timeout-ms: 300\r\n\r\nonly this".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IN_TIME)
        body = await asyncio.wait_for(reader.readuntil(b"}"), IN_TIME)
    assert head.startswith(b"HTTP/1.1 504 ")
    assert b"stage 'receive body'" in body
