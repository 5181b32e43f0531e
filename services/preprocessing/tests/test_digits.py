"""digits-8x8: the same digit gives the same counts, however it was drawn; no digit is a refusal."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageChops
from preprocessing.pictures import PictureRefused

Draw = Callable[..., Image.Image]
Encode = Callable[..., bytes]
Counts = Callable[..., NDArray[np.float32]]

DIGITS = st.sampled_from([2, 4, 7])


@pytest.mark.requirement("PREPROCESSING-006")
@settings(deadline=None)
@given(
    digit=DIGITS,
    pen=st.integers(3, 14),
    ground=st.integers(0, 90),
    contrast=st.integers(60, 160),
    noise=st.integers(0, 12),
    side=st.sampled_from([64, 96, 131, 280]),
)
def test_a_picture_and_its_negative_give_the_same_counts(
    *,
    digit: int,
    pen: int,
    ground: int,
    contrast: int,
    noise: int,
    side: int,
    draw: Draw,
    encode: Encode,
    counts: Counts,
) -> None:
    drawn = np.asarray(draw(digit, side=side, at=(side // 5, side // 8), size=int(side * 0.6), pen=pen))
    levels = ground + drawn / 255.0 * contrast + np.random.default_rng(pen).normal(0, noise, drawn.shape)
    picture = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    assert (counts(encode(picture)) == counts(encode(ImageChops.invert(picture)))).all()


@pytest.mark.requirement("PREPROCESSING-006")
@settings(deadline=None)
@given(digit=DIGITS, right=st.integers(0, 60), down=st.integers(0, 50))
def test_where_the_digit_stands_does_not_matter(
    *, digit: int, right: int, down: int, draw: Draw, encode: Encode, counts: Counts
) -> None:
    """Pictures of up to 143 pixels are surveyed pixel by pixel, so a shift changes nothing at all."""
    here = counts(encode(draw(digit, side=140, at=(12, 12))))
    assert (counts(encode(draw(digit, side=140, at=(12 + right, 12 + down)))) == here).all()


@pytest.mark.requirement("PREPROCESSING-006")
@settings(deadline=None)
@given(digit=DIGITS, size=st.integers(60, 240))
def test_how_big_the_digit_is_hardly_matters(digit: int, size: int, draw: Draw, encode: Encode, counts: Counts) -> None:
    def of_size(size: int) -> NDArray[np.float32]:
        return counts(encode(draw(digit, side=280, at=(20, 20), size=size, pen=size // 9)))

    assert abs(of_size(size) - of_size(120)).mean() < 2


@pytest.mark.requirement("PREPROCESSING-006")
@pytest.mark.parametrize("pen", [2, 4, 8, 14, 20])
def test_thin_and_bold_pens_come_near_the_ink_of_the_data_set(
    pen: int, draw: Draw, encode: Encode, counts: Counts
) -> None:
    """Its digits have 310 of 1,024 pixels set, give or take 35."""
    assert 150 <= counts(encode(draw(2, pen=pen))).sum() <= 450


def test_the_digit_fills_the_height_and_is_centred(draw: Draw, encode: Encode, counts: Counts) -> None:
    grid = counts(encode(draw(7, at=(2, 30), size=50))).reshape(8, 8)
    assert grid[0].any()
    assert grid[7].any()
    empty = [side.any(axis=0).argmax() for side in (grid, grid[:, ::-1])]
    assert abs(empty[0] - empty[1]) <= 1


def test_a_wide_stroke_keeps_its_aspect(encode: Encode, counts: Counts) -> None:
    dash = Image.new("L", (100, 100), 0)
    dash.paste(255, (10, 45, 90, 55))
    grid = counts(encode(dash)).reshape(8, 8)
    assert grid[3:5].all()
    assert not grid[:2].any()
    assert not grid[6:].any()


@pytest.mark.requirement("PREPROCESSING-006")
@pytest.mark.parametrize(("side", "speck"), [(120, 1), (120, 2), (280, 3)])
def test_specks_do_not_move_the_digit(side: int, speck: int, draw: Draw, encode: Encode, counts: Counts) -> None:
    clean = draw(4, side=side, at=(side // 4, side // 4), size=side // 2)
    specked = clean.copy()
    for x, y in ((3, 6), (111, 9), (60, 114), (9, 99)):
        specked.paste(255, (x, y, x + speck, y + speck))
    assert (counts(encode(specked)) == counts(encode(clean))).all()


@pytest.mark.requirement("PREPROCESSING-007")
@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (280, 280), 255),
        Image.new("L", (280, 280), 0),
        Image.new("RGBA", (280, 280), (0, 0, 0, 0)),
        Image.new("RGBA", (280, 280), (255, 255, 255, 0)),
        Image.new("L", (1, 1), 7),
        Image.new("L", (1, 400), 7),
        Image.effect_noise((64, 64), 25),
        Image.effect_noise((300, 200), 90),
    ],
    ids=["white", "black", "clear", "clear white", "one pixel", "one column", "noise", "strong noise"],
)
def test_a_blank_picture_is_refused_with_advice(picture: Image.Image, encode: Encode, counts: Counts) -> None:
    with pytest.raises(PictureRefused, match=r"The picture is blank.*Draw one digit"):
        counts(encode(picture))
