"""What training shows the network besides the dataset's own rows."""

import numpy as np
import pytest
from training.augmentation import COPIES, augment
from training.dataset import Dataset, Pixels
from training.drawing import draw


def are_counts(pixels: Pixels) -> bool:
    return bool((pixels == np.rint(pixels)).all()) and pixels.min() >= 0 and pixels.max() <= 16


@pytest.mark.requirement("TRAINING-002")
def test_each_row_is_shown_as_it_is_and_in_five_distorted_copies(dataset: Dataset) -> None:
    rows = dataset.train[:50]
    augmented = augment(rows, np.random.default_rng(0))
    assert len(augmented) == COPIES * len(rows)
    assert np.array_equal(augmented.pixels[:50], rows.pixels)
    assert np.array_equal(augmented.labels, np.tile(rows.labels, COPIES))
    copies = augmented.pixels.reshape(COPIES, 50, 64)
    assert all((copies[copy] != rows.pixels).any(axis=1).all() for copy in range(1, COPIES))


@pytest.mark.requirement("TRAINING-002")
def test_distorted_and_drawn_pictures_are_counts_as_preprocessing_makes_them(dataset: Dataset) -> None:
    assert are_counts(augment(dataset.train, np.random.default_rng(0)).pixels)
    assert are_counts(draw(40, np.random.default_rng(0)).pixels)


def test_distortion_keeps_the_picture_recognisable(dataset: Dataset) -> None:
    rows = dataset.train[:300]
    copies = augment(rows, np.random.default_rng(0)).pixels.reshape(COPIES, 300, 64)
    similarity = [np.corrcoef(rows.pixels[i], copies[copy, i])[0, 1] for copy in range(1, COPIES) for i in range(300)]
    assert np.mean(similarity) > 0.6


def test_every_digit_is_drawn_equally_often_and_never_twice_alike() -> None:
    rows = draw(37, np.random.default_rng(0))
    assert np.array_equal(np.bincount(rows.labels), np.full(10, 37))
    assert len(np.unique(rows.pixels, axis=0)) == len(rows)


def test_drawn_digits_fill_the_height_or_the_width_and_are_centred() -> None:
    pictures = draw(60, np.random.default_rng(0)).pixels.reshape(-1, 8, 8)
    rows, columns = (pictures.sum(axis=axis) > 0 for axis in (2, 1))
    assert (rows[:, [0, -1]].all(axis=1) | columns[:, [0, -1]].all(axis=1)).all()
    columns_in_use = np.arange(8) * columns
    centre = columns_in_use.sum(axis=1) / columns.sum(axis=1)
    assert np.abs(centre - 3.5).max() <= 0.6
