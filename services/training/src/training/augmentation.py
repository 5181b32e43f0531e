"""Distortions of 8x8 pictures: shift, rotation, scale, blur and noise."""

import numpy as np

from training.dataset import Labels, Pixels, Rows

SIDE = 8
FULL = 16.0
COPIES = 6

_MAX_DEGREES = 15.0
_MAX_SHIFT = 1.0
_MAX_SCALE = 0.15
_BLURRED_SHARE = 0.4
_NOISE = 1.5


def augment(rows: Rows, rng: np.random.Generator) -> Rows:
    """Return six copies of every row: one as it is, five distorted at random."""
    distorted = distort(np.tile(rows.pixels, (COPIES - 1, 1)), rng)
    labels: Labels = np.tile(rows.labels, COPIES)
    return Rows(np.vstack([rows.pixels, distorted]), labels)


def distort(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Move, turn, scale, blur and speckle every picture by its own random amounts."""
    warped = _warp(pixels, rng)
    blurred = np.where(rng.random((len(warped), 1)) < _BLURRED_SHARE, _blur(warped), warped)
    noise = rng.normal(0, 1, warped.shape) * rng.uniform(0, _NOISE, (len(warped), 1))
    result: Pixels = np.clip(np.rint(blurred + noise), 0, FULL).astype(np.float32)
    return result


def distort_some(pixels: Pixels, rng: np.random.Generator, *, share: float) -> Pixels:
    """Distort about this share of the pictures and leave the others as they are."""
    chosen = rng.random(len(pixels)) < share
    result = pixels.copy()
    result[chosen] = distort(pixels[chosen], rng)
    return result


def _warp(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    count = len(pixels)
    angle = np.deg2rad(rng.uniform(-_MAX_DEGREES, _MAX_DEGREES, (count, 1)))
    scale = 1 + rng.uniform(-_MAX_SCALE, _MAX_SCALE, (2, count, 1))
    shift = rng.uniform(-_MAX_SHIFT, _MAX_SHIFT, (2, count, 1))
    centre = (SIDE - 1) / 2
    y, x = (axis.reshape(1, -1) - centre for axis in np.mgrid[:SIDE, :SIDE])
    source_x = (np.cos(angle) * x + np.sin(angle) * y) * scale[0] + shift[0] + centre
    source_y = (np.cos(angle) * y - np.sin(angle) * x) * scale[1] + shift[1] + centre
    return _sample(pixels.reshape(-1, SIDE, SIDE), source_y, source_x)


def _sample(pictures: Pixels, y: np.ndarray, x: np.ndarray) -> Pixels:
    """Read the pictures between their pixels, bilinearly; outside there is no ink."""
    framed = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    y, x = (np.clip(axis + 1, 0, SIDE + 0.999) for axis in (y, x))
    top, left = y.astype(np.intp), x.astype(np.intp)
    down, right = y - top, x - left
    row = np.arange(len(pictures))[:, None]
    upper = framed[row, top, left] * (1 - right) + framed[row, top, left + 1] * right
    lower = framed[row, top + 1, left] * (1 - right) + framed[row, top + 1, left + 1] * right
    result: Pixels = (upper * (1 - down) + lower * down).astype(np.float32)
    return result


def _blur(pixels: Pixels) -> Pixels:
    framed = np.pad(pixels.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)), mode="edge")
    weights = ((1, 2, 1), (2, 4, 2), (1, 2, 1))
    total = sum(
        weight * framed[:, dy : dy + SIDE, dx : dx + SIDE]
        for dy, row in enumerate(weights)
        for dx, weight in enumerate(row)
    )
    result: Pixels = (np.asarray(total) / 16).reshape(len(pixels), -1).astype(np.float32)
    return result
