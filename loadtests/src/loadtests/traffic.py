"""What the load consists of: pictures and rows whose right answers are known."""

import io
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

# Digits whose picture, in the typeface that Pillow brings, leaves the model no doubt.
DIGITS = "02457"

_SIDE = 280
_FONT_SIZE = 240
_STROKE = 8
_PAPER, _INK = 255, 20
_SEVEN = """
 0 16 16 16 16 16 11  0
 0  8  8  8 11 16  7  0
 0  0  0  0 13 14  0  0
 0  0  0  6 16  6  0  0
 0  0  0 14 14  0  0  0
 0  0  6 16  6  0  0  0
 0  0 14 14  0  0  0  0
 0  7 16  4  0  0  0  0
"""


@cache
def picture(digit: str = "7") -> bytes:
    """Return a PNG like the drawing page's: 280 x 280, dark on light; one grey channel, where a canvas sends four."""
    image = Image.new("L", (_SIDE, _SIDE), _PAPER)
    font = ImageFont.load_default(size=_FONT_SIZE)
    centre = (_SIDE / 2, _SIDE / 2)
    ImageDraw.Draw(image).text(centre, digit, fill=_INK, font=font, anchor="mm", stroke_width=_STROKE)
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def row() -> Sequence[float]:
    """Return a seven as the model's 64 counts."""
    return tuple(float(count) for count in _SEVEN.split())
