"""What callers hear of an upstream's refusal."""

import grpc
import pytest
from gateway.metrics import UpstreamMetrics
from gateway.upstream import Upstream
from grpc import StatusCode
from prometheus_client import CollectorRegistry
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput

pytestmark = pytest.mark.requirement("GATEWAY-005")


async def refusal(text: str, details: bytes = b"") -> InvalidInput:
    """Return what a caller gets when an upstream refuses with `text`."""

    async def refuse(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(StatusCode.INVALID_ARGUMENT, text, (("grpc-status-details-bin", details),))
        return b""

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Refuse": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    upstream = Upstream("t", address, max_message_bytes=1 << 20, metrics=UpstreamMetrics(CollectorRegistry()))
    try:
        with pytest.raises(InvalidInput) as refused:
            await upstream.call("/t.T/Refuse", b"", deadline=Deadline.after(5))
        return refused.value
    finally:
        await upstream.aclose()
        await server.stop(0)


@pytest.mark.parametrize("text", ["images[0] is no image/png", "the shape [1,64] does not fit"])
async def test_a_refusal_reaches_the_caller_in_its_own_words(text: str) -> None:
    assert (await refusal(text)).message == text


@pytest.mark.parametrize("text", ["cannot open /models/digits/1", "failed\n  File '/app/model.py', line 3", "'/tmp'"])
async def test_no_path_of_an_upstream_reaches_a_caller(text: str) -> None:
    assert "/" not in (await refusal(text)).message


async def test_details_that_cannot_be_read_leave_the_refusal_as_it_is() -> None:
    refused = await refusal("no", details=b"\xff\xff\xff")
    assert (refused.message, refused.violations) == ("no", ())
