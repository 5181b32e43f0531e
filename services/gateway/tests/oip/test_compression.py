import gzip
import zlib
from typing import Any

import pytest
from gateway.http_request import HttpRequest
from gateway.oip.compression import compressed
from starlette.responses import Response

BODY = b'{"outputs": []}' * 100


def answer(accept: str | None, body: bytes = BODY) -> Response:
    headers = {} if accept is None else {"accept-encoding": accept}
    return compressed(HttpRequest("POST", "/", {}, headers), Response(body))


@pytest.mark.requirement("OIP-009")
@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip", "gzip"),
        ("GZIP;q=0.5, br", "gzip"),
        ("deflate", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.000", None),
        ("br", None),
        ("", None),
        (None, None),
    ],
)
def test_an_answer_is_compressed_as_its_caller_accepts(accept: str | None, encoding: str | None) -> None:
    response = answer(accept)
    decompress: dict[str | None, Any] = {None: bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}
    plain = decompress[encoding](response.body)
    assert plain == BODY
    assert response.headers.get("content-encoding") == encoding
    assert response.headers["content-length"] == str(len(response.body))


def test_a_small_answer_is_sent_as_it_is() -> None:
    assert answer("gzip", b"{}").body == b"{}"
