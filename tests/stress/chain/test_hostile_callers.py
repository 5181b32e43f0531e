"""Slow, oversized, half-closed and hostile requests: refused in time, and no process ends."""

import asyncio
import base64
import contextlib
import gzip
import http.client
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from fairlead.gateway.v1 import gateway_pb2
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from local_stack.eventually import eventually
from local_stack.first_picture import PICTURE
from local_stack.stack import Stack
from PIL import Image
from tritonclient.grpc import service_pb2 as oip
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

LIMIT = 8 << 20
UNPACKED = 256 << 20
PREDICT = "/v1/models/digits:predict"
BATCH = "/v1/models/digits:batchPredict"
INFER = "/v2/models/digits/infer"
FEEDBACK = "/v1/predictions/0190b2a0-0000-7000-8000-000000000000:feedback"
JSON = {"content-type": "application/json"}
PNG = {"content-type": "image/png"}
SLOW_SENDERS = 60
IN_TIME = 10.0


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=stack.http_url, timeout=30) as connected:
        yield connected


@pytest.fixture(autouse=True)
def everybody_lives(stack: Stack) -> Iterator[None]:
    """The processes after a test are those before it, and they serve."""

    def pids() -> dict[str, list[int]]:
        return {name: [service.pid, *service.descendants()] for name, service in stack.services.items()}

    before = pids()
    yield
    answer = httpx2.post(stack.http_url + PREDICT, content=PICTURE.read_bytes(), headers=PNG, timeout=30)
    assert answer.status_code == 200, answer.text
    assert pids() == before
    stack.raise_if_dead()


@pytest.mark.requirement("STRESS-114")
@pytest.mark.parametrize(
    "begun",
    [
        b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nhost: here\r\nx-slow: ",
        b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nhost: here\r\ncontent-length: 100000\r\n\r\nsome",
        b"POST " + INFER.encode() + b" HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n5\r\nsome",
    ],
    ids=["headers", "body", "chunks"],
)
async def test_callers_who_never_finish_a_request_are_in_nobodys_way(stack: Stack, begun: bytes) -> None:
    """They outnumber the places for requests in work: one who is still sending holds none."""
    async with contextlib.AsyncExitStack() as senders, httpx2.AsyncClient(base_url=stack.http_url) as client:
        for _ in range(SLOW_SENDERS):
            await senders.enter_async_context(sending(stack, begun))
        # Less than the slow ones have until their own deadlines.
        hurried = {**PNG, "x-request-timeout-ms": "3000"}
        for _ in range(10):
            answer = await client.post(PREDICT, content=PICTURE.read_bytes(), headers=hurried, timeout=IN_TIME)
            assert answer.status_code == 200, answer.text


@contextlib.asynccontextmanager
async def sending(stack: Stack, begun: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.ports["gateway"]["http"])
    writer.write(begun)
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()


@pytest.mark.requirement("STRESS-115")
async def test_a_caller_who_closes_its_side_early_leaves_nothing_behind(stack: Stack) -> None:
    body = PICTURE.read_bytes()
    whole = f"POST {PREDICT} HTTP/1.1\r\nhost: here\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    for begun in (whole, whole[: len(whole) // 2], whole[:40]):
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.ports["gateway"]["http"])
        writer.write(begun)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), IN_TIME)  # an answer or none, but an end
        writer.close()
    metrics = stack.operations_url("gateway") + "/metrics"
    eventually(lambda: "\ngateway_requests_in_flight 0.0\n" in httpx2.get(metrics).text)


def by_length(body: bytes) -> bytes | Iterator[bytes]:
    return body


def in_chunks(body: bytes) -> bytes | Iterator[bytes]:
    return (body[start : start + 65536] for start in range(0, len(body), 65536))


@pytest.mark.requirement("STRESS-116")
@pytest.mark.parametrize("sent", [by_length, in_chunks])
@pytest.mark.parametrize("path", [PREDICT, BATCH, INFER, FEEDBACK])
def test_a_body_over_the_limit_is_413_however_it_is_sent(
    stack: Stack, path: str, sent: Callable[[bytes], bytes | Iterator[bytes]]
) -> None:
    assert status_of(stack, path, sent(bytes(LIMIT + 1))) == 413


def status_of(stack: Stack, path: str, body: bytes | Iterator[bytes]) -> int:
    """Send as far as the gateway reads; it may answer and close before the end."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", stack.ports["gateway"]["http"], timeout=30)
    ) as opened:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            opened.request("POST", path, body=body, headers=JSON, encode_chunked=not isinstance(body, bytes))
        status: int = opened.getresponse().status
        return status


@pytest.mark.requirement("STRESS-116")
@pytest.mark.parametrize("path", [PREDICT, BATCH, INFER, FEEDBACK])
def test_a_body_that_is_small_only_while_it_is_compressed_is_413_and_is_never_unpacked(
    stack: Stack, client: httpx2.Client, gzip_bomb: bytes, path: str
) -> None:
    memory = Path(f"/proc/{stack['gateway'].pid}")
    (memory / "clear_refs").write_text("5")  # the highest use so far is the use now
    before = most_memory(memory)
    answer = client.post(path, content=gzip_bomb, headers={**JSON, "content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, "RESOURCE_EXHAUSTED")
    assert most_memory(memory) - before < UNPACKED // 2


@pytest.fixture(scope="module")
def gzip_bomb() -> bytes:
    return gzip.compress(bytes(UNPACKED), compresslevel=1)


def most_memory(process: Path) -> int:
    """Bytes of resident memory at the highest."""
    (line,) = (each for each in (process / "status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.requirement("STRESS-116")
def test_a_message_over_the_limit_is_resource_exhausted(stack: Stack) -> None:
    big = bytes(LIMIT + 1)
    with grpc.insecure_channel(stack.grpc_address) as channel:
        calls: list[tuple[Any, Any]] = [
            (PredictionServiceStub(channel).Predict, gateway_pb2.PredictRequest(model="digits", image=big)),
            (
                GRPCInferenceServiceStub(channel).ModelInfer,
                oip.ModelInferRequest(model_name="digits", raw_input_contents=[big]),
            ),
        ]
        for method, request in calls:
            with pytest.raises(grpc.RpcError) as refused:
                method(request, timeout=30)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def deep(depth: int = 200_000) -> bytes:
    return b"[" * depth + b"]" * depth


def png(width: int, height: int, *, rows: bytes) -> bytes:
    """Return a PNG whose header and pixels need not agree."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_with_text_bomb() -> bytes:
    """Return a small PNG with a compressed text of 64 MiB."""
    text = b"comment\0\0" + zlib.compress(bytes(64 << 20), 9)
    chunk = struct.pack(">L", len(text)) + b"zTXt" + text + struct.pack(">L", zlib.crc32(b"zTXt" + text))
    plain = png(8, 8, rows=bytes(72))
    return plain[:33] + chunk + plain[33:]


def gif_of_many_frames() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("P", (500, 500), color) for color in range(200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "2.5 gigapixels by the header": lambda: png(50_000, 50_000, rows=bytes(1000)),
    "all the bytes that a row count may say": lambda: png(2**31 - 1, 2**31 - 1, rows=b"\0"),
    "256 MiB behind a header of 8x8": lambda: png(8, 8, rows=bytes(256 << 20)),
    "a text of 64 MiB": png_with_text_bomb,
    "200 frames": gif_of_many_frames,
    "no width": lambda: png(0, 8, rows=b""),
}


@pytest.mark.requirement("STRESS-117")
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_unpacks_to_more_than_it_shows_is_no_failure(
    stack: Stack, client: httpx2.Client, name: str
) -> None:
    picture = PICTURES[name]()
    encoded = base64.b64encode(picture).decode()
    answers = [
        client.post(PREDICT, content=picture, headers=PNG),
        client.post(PREDICT, json={"image": encoded}),
        client.post(BATCH, json={"images": [encoded]}),
    ]
    statuses = {answer.status_code for answer in answers}
    assert len(statuses) == 1
    assert statuses <= {200, 400}, answers[0].text
    with grpc.insecure_channel(stack.grpc_address) as channel:
        request = gateway_pb2.PredictRequest(model="digits", image=picture)
        assert code_of(PredictionServiceStub(channel).Predict, request) == (
            "OK" if 200 in statuses else "INVALID_ARGUMENT"
        )


def code_of(method: Any, request: Any) -> str:
    try:
        method(request, timeout=30)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


@pytest.mark.requirement("STRESS-117")
@pytest.mark.parametrize("path", [PREDICT, BATCH, FEEDBACK, INFER, "/v2/repository/index"])
@pytest.mark.parametrize(
    "body",
    [
        deep(),
        b'{"image":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"image": ' + deep() + b"}",
        b'{"inputs": [{"name": "pixels", "shape": [1, 64], "datatype": "FP32", "data": ' + deep() + b"}]}",
        b'{"image": ' + b"9" * 100_000 + b"}",
        b'{"label": 1e999999999}',
        b'{"image": "' + b"\\ud800" * 1000 + b'"}',
        b"\xff\xfe" * 1000,
        b"null",
        b"",
    ],
    ids=[
        "lists",
        "objects",
        "list in field",
        "tensor",
        "digits",
        "exponent",
        "surrogates",
        "no utf-8",
        "null",
        "empty",
    ],
)
def test_json_of_any_depth_and_size_is_refused_and_ends_nothing(client: httpx2.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers=JSON)
    harmless = path.endswith("/index") and not body
    assert answer.status_code in ({200} if harmless else {400, 413}), answer.text


SHAPES: tuple[list[int], ...] = (
    [10**12, 64],
    [2**62, 4],
    [2**63 - 1, 2**63 - 1],
    [-1, 64],
    [1] * 5000,
    [2**32, 2**32],
    [0, 64],
    [],
)


@pytest.mark.requirement("STRESS-117")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{len(shape)} of {max(shape, default=0)}")
def test_a_shape_that_its_bytes_do_not_fill_is_refused_on_every_encoding(
    stack: Stack, client: httpx2.Client, shape: list[int]
) -> None:
    tensor = {"name": "pixels", "shape": shape, "datatype": "FP32"}
    as_json = client.post(INFER, json={"inputs": [{**tensor, "data": [0.0] * 64}]})
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": 256}}]}).encode()
    binary = client.post(INFER, content=head + bytes(256), headers={"inference-header-content-length": str(len(head))})
    raw = oip.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(256)])
    typed = oip.ModelInferRequest(model_name="digits")
    raw.inputs.add(name="pixels", datatype="FP32", shape=shape)
    typed.inputs.add(name="pixels", datatype="FP32", shape=shape).contents.fp32_contents.extend([0.0] * 64)
    with grpc.insecure_channel(stack.grpc_address) as channel:
        over_grpc = [code_of(GRPCInferenceServiceStub(channel).ModelInfer, request) for request in (raw, typed)]
    assert [as_json.status_code, binary.status_code, *over_grpc] == [400, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"]
