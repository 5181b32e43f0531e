"""The ways in which an HTTP body can carry images: as it is, as a form, as base64 in JSON."""

import binascii
from collections.abc import AsyncGenerator

import orjson
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, UnsupportedMediaType, Violation
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from gateway.http_request import HttpRequest, read_body

RAW_MEDIA_TYPES = (
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/bmp",
    "application/octet-stream",
)
JSON = "application/json"
FORM = "multipart/form-data"

_MOST_PARTS = 10_000  # far beyond any batch limit, which the use case knows and explains
_RAW = frozenset((*RAW_MEDIA_TYPES, ""))  # RFC 9110 8.3: without a media type the recipient may look


async def read_image(request: HttpRequest, *, limit: int, deadline: Deadline) -> bytes:
    """Return the one image of a :predict body."""
    media_type = _media_type(request)
    if media_type in _RAW:
        return read_body(request, limit=limit, deadline=deadline)
    if media_type == JSON:
        document = read_json(request, limit=limit, deadline=deadline)
        return _decode(document.get("image"), "image")
    if media_type == FORM:
        images = await _read_form(request, "image", limit=limit, deadline=deadline)
        if len(images) != 1:
            raise _invalid("image", "Send exactly one file in the form field 'image'.")
        return images[0]
    raise UnsupportedMediaType(
        f"Cannot read an image from '{media_type}'. Send {', '.join(RAW_MEDIA_TYPES)}, {FORM} with a file 'image', "
        f'or {JSON} as {{"image": "<base64>"}}.'
    )


async def read_images(request: HttpRequest, *, limit: int, deadline: Deadline) -> list[bytes]:
    """Return the images of a :batchPredict body, in order."""
    media_type = _media_type(request)
    if media_type == JSON:
        document = read_json(request, limit=limit, deadline=deadline)
        images = document.get("images")
        if not isinstance(images, list):
            raise _invalid("images", 'Send {"images": ["<base64>", ...]}.')
        return [_decode(image, f"images[{position}]") for position, image in enumerate(images)]
    if media_type == FORM:
        return await _read_form(request, "images", limit=limit, deadline=deadline)
    raise UnsupportedMediaType(
        f"Cannot read images from '{media_type}'. Send {FORM} with files 'images', "
        f'or {JSON} as {{"images": ["<base64>", ...]}}.'
    )


def read_json(request: HttpRequest, *, limit: int, deadline: Deadline) -> dict[str, object]:
    """Return the JSON object in the body."""
    body = read_body(request, limit=limit, deadline=deadline)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid("body", f"The body is not JSON: {error.msg} at byte {error.pos}.") from error
    if not isinstance(document, dict):
        raise _invalid("body", "The body must be a JSON object.")
    return document


async def _read_form(request: HttpRequest, field: str, *, limit: int, deadline: Deadline) -> list[bytes]:
    body = read_body(request, limit=limit, deadline=deadline)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    # The parts lie within `limit` already; a part never goes to disk.
    headers = Headers(request.headers)
    parser = MultiPartParser(headers, stream(), max_files=_MOST_PARTS, max_fields=0, max_part_size=limit)
    parser.spool_max_size = limit
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "it has no boundary"
        raise _invalid(field, f"The form cannot be read: {reason}") from error
    try:
        return [await _file(name, part, field) for name, part in form.multi_items()]
    finally:
        await form.close()


async def _file(name: str, part: UploadFile | str, field: str) -> bytes:
    if name != field or isinstance(part, str):
        raise _invalid(field, f"The form may hold files named '{field}' only.")
    return await part.read()


def _media_type(request: HttpRequest) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _decode(value: object, field: str) -> bytes:
    if not isinstance(value, str):
        raise _invalid(field, "Give the image as a base64 string.")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:
        raise _invalid(field, "Not base64 (RFC 4648, with padding, without line breaks or a data: prefix).") from error


def _invalid(field: str, description: str) -> InvalidInput:
    return InvalidInput(description, violations=(Violation(field, description),))
