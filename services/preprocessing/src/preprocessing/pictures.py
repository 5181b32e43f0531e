"""Encoded pictures to grey ones: upright, composited, and never bigger than a caller may ask for."""

import io
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageOps

MEDIA_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
# A digit shows at this size; JPEG skips most of its work when asked for no more.
_ENOUGH = (512, 512)
# A progressive scan costs a pass over the whole picture but only a few bytes. Cameras write ten or so.
_MAX_JPEG_SCANS = 64
_JPEG_SCAN = b"\xff\xda"


class PictureRefused(Exception):
    """The picture cannot be used; the text tells its sender why and what to do."""


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What a picture may cost."""

    max_bytes: int
    max_pixels: int


class Picture:
    """A picture whose header was read and found acceptable; nothing is decoded yet."""

    __slots__ = ("_format", "_image")

    def __init__(self, data: bytes, limits: PictureLimits) -> None:
        """Read the header of `data`; raises PictureRefused before anything big is allocated."""
        self._format = _format_of(data, limits)
        try:
            self._image = Image.open(io.BytesIO(data), formats=(self._format,))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _too_many_pixels(limits) from error
        except Exception as error:  # codecs raise almost anything on hostile bytes
            raise _damaged(self._format) from error
        if self.pixels > limits.max_pixels:
            raise _too_many_pixels(limits)

    @property
    def pixels(self) -> int:
        """How many pixels decoding will produce, as the header says."""
        width, height = self._image.size
        return width * height

    def grey(self) -> Image.Image:
        """Decode to mode L: first frame, transparency composited, upright, longer side near 512 at most."""
        try:
            return _grey(self._image)
        except Exception as error:  # codecs raise almost anything on hostile bytes
            raise _damaged(self._format) from error


def _format_of(data: bytes, limits: PictureLimits) -> str:
    if not data:
        raise PictureRefused("The picture is empty: send the bytes of a PNG, JPEG, GIF, WebP or BMP file.")
    if len(data) > limits.max_bytes:
        raise PictureRefused(f"The picture has {len(data)} bytes, more than the {limits.max_bytes} allowed: shrink it.")
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            if name == "JPEG" and data.count(_JPEG_SCAN) > _MAX_JPEG_SCANS:
                raise PictureRefused("The JPEG has too many scans: save it as a baseline JPEG or as a PNG.")
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise PictureRefused("These bytes are no PNG, JPEG, GIF, WebP or BMP picture: send one of these formats.")


def _too_many_pixels(limits: PictureLimits) -> PictureRefused:
    return PictureRefused(f"The picture has more than the {limits.max_pixels} pixels allowed: scale it down.")


def _damaged(picture_format: str) -> PictureRefused:
    return PictureRefused(f"The {picture_format} picture is damaged or cut off: save it anew and send the whole file.")


def _grey(image: Image.Image) -> Image.Image:
    image.draft("L", _ENOUGH)
    image.load()
    grey = _composited(image) if image.has_transparency_data else _without_colour(image)
    factor = max(image.size) // max(_ENOUGH)
    if factor > 1:
        grey = grey.reduce(factor)
    if "exif" in image.info:
        grey.info["exif"] = image.info["exif"]
        grey = ImageOps.exif_transpose(grey)
    return grey


def _without_colour(image: Image.Image) -> Image.Image:
    if image.mode == "L":
        return image
    if image.mode.startswith("I"):  # sixteen bits: plain conversion would clip instead of scale
        return image.point(lambda value: value * (1 / 257)).convert("L")
    return image.convert("L")


def _composited(image: Image.Image) -> Image.Image:
    """Put the picture on the ground that its author must have seen.

    Mostly opaque: a ground like the picture. Mostly transparent: what is there is ink, so the opposite ground.
    """
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    grey = image.convert("L")
    opaque = b"\xff" * (image.width * image.height)
    if image.tobytes("raw", "A") == opaque:
        return grey
    alpha = image.getchannel("A")
    shown = ImageChops.multiply(grey, alpha)
    opacity = _sum(alpha)
    mostly_opaque = 2 * opacity > 255 * alpha.width * alpha.height
    is_light = 2 * _sum(shown) > opacity
    if mostly_opaque == is_light:
        return ImageChops.add(shown, ImageChops.invert(alpha))
    return shown


def _sum(image: Image.Image) -> int:
    return sum(value * count for value, count in enumerate(image.histogram()))
