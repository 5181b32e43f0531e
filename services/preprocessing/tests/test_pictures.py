"""What may come in as a picture, and what each kind becomes."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from preprocessing.feature_specs import digits_8x8
from preprocessing.pictures import Picture, PictureLimits, PictureRefused

Draw = Callable[..., Image.Image]
Encode = Callable[..., bytes]
Counts = Callable[..., NDArray[np.float32]]

LIMITS = PictureLimits(max_bytes=1024**2, max_pixels=4_000_000)
EXIF_ORIENTATION = 0x0112
STARTS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"RIFF\x24\x00\x00\x00WEBPVP8L", b""]


def png_header(width: int, height: int, *, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.requirement("PREPROCESSING-001")
@pytest.mark.parametrize("picture_format", ["PNG", "GIF", "BMP"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_every_lossless_format_and_mode_gives_the_same_counts(
    draw: Draw, encode: Encode, counts: Counts, picture_format: str, mode: str
) -> None:
    digit = draw(4)
    assert (counts(encode(digit.convert(mode), picture_format)) == counts(encode(digit))).all()


@pytest.mark.requirement("PREPROCESSING-001")
@pytest.mark.parametrize(
    ("picture_format", "mode"), [("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "RGB")]
)
def test_lossy_formats_give_nearly_the_same_counts(
    draw: Draw, encode: Encode, counts: Counts, picture_format: str, mode: str
) -> None:
    digit = draw(4)
    difference = counts(encode(digit.convert(mode), picture_format, quality=90)) - counts(encode(digit))
    assert abs(difference).sum() <= 32


@pytest.mark.requirement("PREPROCESSING-001")
def test_only_the_first_frame_of_an_animation_counts(draw: Draw, encode: Encode, counts: Counts) -> None:
    animation = encode(draw(4), "GIF", save_all=True, append_images=[draw(7), draw(2)])
    assert (counts(animation) == counts(encode(draw(4)))).all()


def test_sixteen_bits_give_the_counts_of_eight(draw: Draw, encode: Encode, counts: Counts) -> None:
    digit = draw(2).point(lambda level: 60 + level // 2)
    deep = Image.fromarray(np.asarray(digit).astype(np.uint16) * 257)
    assert (counts(encode(deep)) == counts(encode(digit))).all()


@pytest.mark.requirement("PREPROCESSING-002")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(draw: Draw, encode: Encode, counts: Counts, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = draw(7)
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    assert (counts(encode(stored, exif=exif)) == counts(encode(upright))).all()


@pytest.mark.requirement("PREPROCESSING-003")
@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255), (200, 30, 30), (255, 240, 120)])
@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 255, 255)])
def test_ink_on_a_transparent_ground_is_seen_in_any_colour(
    draw: Draw, encode: Encode, counts: Counts, ink: tuple[int, ...], hidden: tuple[int, ...]
) -> None:
    digit = draw(2)
    picture = Image.new("RGBA", digit.size, (*hidden, 0))
    picture.paste((*ink, 255), mask=digit)
    assert abs(counts(encode(picture)) - counts(encode(digit))).sum() <= 32


@pytest.mark.requirement("PREPROCESSING-003")
@pytest.mark.parametrize(("ground", "ink"), [(255, 0), (0, 255)])
def test_transparent_corners_of_a_card_are_no_ink(
    draw: Draw, encode: Encode, counts: Counts, ground: int, ink: int
) -> None:
    digit = draw(7)
    card = Image.new("LA", digit.size, (ground, 255))
    card.paste((ink, 255), mask=digit)
    for corner in ((0, 0, 10, 10), (86, 0, 96, 10), (0, 86, 10, 96), (86, 86, 96, 96)):
        card.paste((0, 0), corner)
    assert (counts(encode(card.convert("RGBA"))) == counts(encode(digit))).all()


@pytest.mark.requirement("PREPROCESSING-004")
def test_a_decompression_bomb_is_refused_by_its_header_alone() -> None:
    bomb = png_header(50_000, 50_000, rows=bytes(10_000_000))
    tracemalloc.start()
    with pytest.raises(PictureRefused, match="more than the 4000000 pixels allowed"):
        Picture(bomb, LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 4 * len(bomb) + 1_000_000
    tracemalloc.stop()


@pytest.mark.requirement("PREPROCESSING-004")
@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_one_pixel_too_many_is_refused_in_every_format(encode: Encode, picture_format: str) -> None:
    data = encode(Image.new("RGB", (41, 100)), picture_format)
    assert Picture(data, PictureLimits(max_bytes=10**6, max_pixels=4100)).pixels == 4100
    with pytest.raises(PictureRefused, match="scale it down"):
        Picture(data, PictureLimits(max_bytes=10**6, max_pixels=4099))


@pytest.mark.requirement("PREPROCESSING-004")
def test_too_many_bytes_are_refused(draw: Draw, encode: Encode) -> None:
    data = encode(draw())
    with pytest.raises(PictureRefused, match="shrink it"):
        Picture(data, PictureLimits(max_bytes=len(data) - 1, max_pixels=10**6))


@pytest.mark.requirement("PREPROCESSING-004")
def test_a_jpeg_of_a_thousand_scans_is_refused(draw: Draw, encode: Encode) -> None:
    """A scan of a few bytes costs a pass over all pixels."""
    data = encode(draw(), "JPEG", progressive=True)
    with pytest.raises(PictureRefused, match="too many scans"):
        Picture(data[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" * 1000 + data[-2:], LIMITS)


@pytest.mark.requirement("PREPROCESSING-005")
@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_a_picture_cut_in_half_is_refused(draw: Draw, encode: Encode, picture_format: str) -> None:
    noise = Image.effect_noise((96, 96), 80)  # long enough that half of it lacks pixels
    data = encode(noise.convert("RGB"), picture_format)
    with pytest.raises(PictureRefused, match=f"{picture_format} picture is damaged or cut off"):
        Picture(data[: len(data) // 2], LIMITS).grey()


@pytest.mark.requirement("PREPROCESSING-005")
@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"hello", "no PNG"), (b"<svg/>", "no PNG")])
def test_what_is_no_picture_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(PictureRefused, match=reason):
        Picture(data, LIMITS)


@pytest.mark.requirement("PREPROCESSING-005")
@settings(deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
def test_any_bytes_give_counts_or_a_refusal(start: bytes, rest: bytes) -> None:
    assert_counts_or_refusal(start + rest)


@pytest.mark.requirement("PREPROCESSING-005")
@settings(deadline=None)
@given(
    picture_format=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_any_damage_gives_counts_or_a_refusal(
    picture_format: str, damage: list[tuple[float, int]], draw: Draw, encode: Encode
) -> None:
    data = bytearray(encode(draw().convert("RGB"), picture_format))
    for where, value in damage:
        data[int(where * (len(data) - 1))] = value
    assert_counts_or_refusal(bytes(data))


@pytest.mark.requirement("PREPROCESSING-005")
@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["1", "L", "LA", "RGB", "RGBA", "P"]), st.randoms())
def test_any_pixels_give_counts_or_a_refusal(width: int, height: int, mode: str, random: object) -> None:
    pixels = np.random.default_rng(hash(random) % 2**32).integers(0, 256, (height, width, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    assert_counts_or_refusal(buffer.getvalue())


def assert_counts_or_refusal(data: bytes) -> None:
    counts, reason = counts_or_reason(data)
    if counts is None:
        assert reason[0].isupper()
        assert "/" not in reason
    else:
        assert counts.shape == (64,)
        assert counts.dtype == np.dtype("<f4")
        assert 0 <= counts.min() <= counts.max() <= 16


def counts_or_reason(data: bytes) -> tuple[NDArray[np.float32] | None, str]:
    try:
        return digits_8x8().row(Picture(data, LIMITS).grey()), ""
    except PictureRefused as refused:
        return None, str(refused)
