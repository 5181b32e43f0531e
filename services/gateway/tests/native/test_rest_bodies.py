"""The ways in which a REST body can carry images, and how it is refused."""

import base64
import gzip
from typing import Any

import httpx2
import pytest
from fairlead.events.v1.events_pb2 import CallerKind
from gateway_kit.native import NativeGateway

PREDICT = "/v1/models/digits:predict"
BATCH = "/v1/models/digits:batchPredict"
SEVEN = b"\x89PNG\r\n\x1a\n\x07"
BASE64 = base64.b64encode(SEVEN).decode()


@pytest.mark.requirement("NATIVE-010")
@pytest.mark.parametrize(
    "media_type",
    [
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/bmp",
        "application/octet-stream",
        "IMAGE/PNG; q=1",
        None,
    ],
)
async def test_an_image_is_taken_as_it_is(http: httpx2.AsyncClient, media_type: str | None) -> None:
    headers = {"content-type": media_type} if media_type else {}
    answer = await http.post(PREDICT, content=SEVEN, headers=headers)
    assert (answer.status_code, answer.json()["label"]) == (200, "7")


@pytest.mark.requirement("NATIVE-010")
async def test_an_image_is_taken_as_a_form_file(http: httpx2.AsyncClient) -> None:
    answer = await http.post(PREDICT, files={"image": ("seven.png", SEVEN, "image/png")})
    assert (answer.status_code, answer.json()["label"]) == (200, "7")


@pytest.mark.requirement("NATIVE-010")
async def test_an_image_is_taken_as_base64_in_json(http: httpx2.AsyncClient) -> None:
    answer = await http.post(PREDICT, json={"image": BASE64})
    assert (answer.status_code, answer.json()["label"]) == (200, "7")


@pytest.mark.requirement("NATIVE-010")
async def test_a_batch_is_taken_as_form_files_in_order(http: httpx2.AsyncClient) -> None:
    files = [("images", (f"{digit}.png", SEVEN[:-1] + bytes([digit]), "image/png")) for digit in (5, 2, 8)]
    answer = await http.post(BATCH, files=files)
    assert [prediction["label"] for prediction in answer.json()["predictions"]] == ["5", "2", "8"]


@pytest.mark.requirement("NATIVE-010")
async def test_a_compressed_body_is_taken(http: httpx2.AsyncClient) -> None:
    answer = await http.post(PREDICT, content=gzip.compress(SEVEN), headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["label"]) == (200, "7")


@pytest.mark.requirement("NATIVE-010")
@pytest.mark.parametrize("path", [PREDICT, BATCH])
async def test_another_media_type_is_415_and_told_what_is_taken(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.post(path, content=SEVEN, headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.json()["detail"]


@pytest.mark.requirement("NATIVE-011")
@pytest.mark.parametrize("framing", ["declared", "chunked"])
async def test_a_body_over_the_limit_is_413(http: httpx2.AsyncClient, framing: str) -> None:
    async def endless() -> Any:
        for _ in range(3):
            yield b"\x89PNG" + bytes(1 << 19)

    content = endless() if framing == "chunked" else bytes(1 << 21)
    answer = await http.post(PREDICT, content=content, headers={"content-type": "image/png"})
    assert answer.status_code == 413
    assert str(1 << 20) in answer.json()["detail"]


@pytest.mark.requirement("NATIVE-011")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[1, 2", "body"),
        (b"[" * 100_000, "body"),
        (b"[]", "body"),
        (b"{}", "image"),
        (b'{"image": 7}', "image"),
        (b'{"image": "data:image/png;base64,AAAA"}', "image"),
        (b'{"image": "AAA"}', "image"),
        (b'{"image": ""}', "image"),
        (f'{{"image": "{BASE64[:4]} {BASE64[4:]}"}}'.encode(), "image"),
    ],
)
async def test_a_json_body_that_holds_no_image_is_400_and_names_the_field(
    http: httpx2.AsyncClient, body: bytes, field: str
) -> None:
    answer = await http.post(PREDICT, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert [violation["field"] for violation in answer.json()["violations"]] == [field]


@pytest.mark.requirement("NATIVE-011")
async def test_a_batch_names_the_string_that_is_not_base64(http: httpx2.AsyncClient) -> None:
    answer = await http.post(BATCH, json={"images": [BASE64, "***"]})
    assert answer.status_code == 400
    assert answer.json()["violations"][0]["field"] == "images[1]"


@pytest.mark.requirement("NATIVE-011")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"garbage"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="image"\r\n\r\n7\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x--"),
    ],
)
async def test_a_form_that_cannot_be_read_is_400(http: httpx2.AsyncClient, content_type: str, body: bytes) -> None:
    answer = await http.post(PREDICT, content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert answer.json()["violations"][0]["field"] == "image"


@pytest.mark.requirement("NATIVE-011")
async def test_two_files_for_one_prediction_are_400(http: httpx2.AsyncClient) -> None:
    files = [("image", ("a.png", SEVEN, "image/png")), ("image", ("b.png", SEVEN, "image/png"))]
    answer = await http.post(PREDICT, files=files)
    assert answer.status_code == 400


@pytest.mark.requirement("NATIVE-003")
async def test_the_page_is_recorded_as_the_caller(gateway: NativeGateway, http: httpx2.AsyncClient) -> None:
    await http.post(PREDICT, content=SEVEN, headers={"content-type": "image/png", "x-fairlead-caller": "page"})
    assert gateway.monitoring.recorded[0].caller_kind == CallerKind.CALLER_KIND_PAGE


@pytest.mark.requirement("NATIVE-022")
async def test_stats_tell_the_latency_of_the_last_minute(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/stats")).json() == {"window_seconds": 60.0, "count": 0, "p50_ms": None, "p99_ms": None}
    for _ in range(3):
        await http.post(PREDICT, content=SEVEN)
    stats = (await http.get("/v1/stats")).json()
    assert stats["count"] == 3
    assert 0 < stats["p50_ms"] <= stats["p99_ms"]
