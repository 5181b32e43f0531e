"""Drawn digits: skeletons bent at random and inked by a pen, in the same form as the dataset's rows.

They teach the network the digits of typefaces and mouse strokes, which the dataset's one form does not hold, without
any typeface: none can leak from training into a test.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.augmentation import SIDE
from training.dataset import Labels, Pixels, Rows
from training.skeletons import SKELETONS, Skeleton, Stroke

Points = NDArray[np.float32]

_BITMAP = 32
_BLOCK = _BITMAP // SIDE
_POINTS_PER_SPAN = 3
_CHUNK = 50
_STRAIGHT = 2

_JITTER = 0.035
_MAX_DEGREES = 18.0
_MAX_SLANT = 0.3
_NARROWEST, _USUAL, _WIDEST = 0.22, 0.55, 0.85
_THINNEST, _THICKEST = 2.4, 7.0
_PEN_RATIO = 1.6
_MARGIN = 2.0


def draw(count: int, rng: np.random.Generator) -> Rows:
    """Return `count` pictures of each digit, shared evenly by the ways to write it."""
    drawn = [np.vstack([*_digit(skeletons, count, rng)]) for skeletons in SKELETONS]
    labels: Labels = np.repeat(np.arange(len(drawn), dtype=np.int64), count)
    return Rows(np.vstack(drawn), labels)


def _digit(skeletons: tuple[Skeleton, ...], count: int, rng: np.random.Generator) -> Iterator[Pixels]:
    for way, skeleton in enumerate(skeletons):
        share = len(range(way, count, len(skeletons)))
        for start in range(0, share, _CHUNK):
            yield _pictures(skeleton, min(_CHUNK, share - start), rng)


def _pictures(skeleton: Skeleton, count: int, rng: np.random.Generator) -> Pixels:
    bend = _bend(count, rng)
    lines = [_place(_smooth(_shaken(stroke, count, rng)), bend) for stroke in skeleton]
    pen = rng.uniform(_THINNEST, _THICKEST, (count, 1)) * _PEN_RATIO ** rng.uniform(-0.5, 0.5, (2, count, 1))
    lines = _fit(lines, pen, rng)
    inked = np.zeros((count, _BITMAP**2), dtype=bool)
    for line in lines:
        inked |= _under_pen(line, pen)
    blocks = inked.reshape(count, SIDE, _BLOCK, SIDE, _BLOCK).sum(axis=(2, 4), dtype=np.float32)
    result: Pixels = blocks.reshape(count, SIDE**2)
    return result


def _shaken(stroke: Stroke, count: int, rng: np.random.Generator) -> Points:
    points = np.array(stroke) + rng.normal(0, _JITTER, (count, len(stroke), 2))
    if stroke[0] == stroke[-1]:
        points[:, -1] = points[:, 0]
    return points.astype(np.float32)


def _smooth(points: Points) -> Points:
    """Lay a Catmull-Rom curve through the points."""
    if points.shape[1] == _STRAIGHT:
        return points
    is_closed = bool((points[:, 0] == points[:, -1]).all())
    before, after = (points[:, -2:-1], points[:, 1:2]) if is_closed else (points[:, :1], points[:, -1:])
    p = np.concatenate([before, points, after], axis=1)
    t = (np.arange(_POINTS_PER_SPAN) / _POINTS_PER_SPAN).reshape(1, 1, -1, 1).astype(np.float32)
    a, b, c, d = (p[:, i : p.shape[1] - 3 + i, None] for i in range(4))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    flat = curve.reshape(len(points), -1, 2)
    result: Points = np.concatenate([flat, points[:, -1:]], axis=1)
    return result


def _bend(count: int, rng: np.random.Generator) -> Points:
    """Return one 2x2 matrix per picture: narrow, then slant, then turn."""
    angle = np.deg2rad(rng.uniform(-_MAX_DEGREES, _MAX_DEGREES, count))
    slant = rng.uniform(-_MAX_SLANT, _MAX_SLANT, count)
    width = rng.triangular(_NARROWEST, _USUAL, _WIDEST, count)
    cos, sin = np.cos(angle), np.sin(angle)
    rows = [[cos * width, -cos * slant - sin], [sin * width, cos - sin * slant]]
    return np.moveaxis(np.array(rows), -1, 0).astype(np.float32)


def _place(points: Points, bend: Points) -> Points:
    result: Points = points @ bend.transpose(0, 2, 1)
    return result


def _fit(lines: list[Points], pen: NDArray[np.float64], rng: np.random.Generator) -> list[Points]:
    """Scale and centre the ink, as preprocessing will, up to a small margin."""
    every = np.concatenate(lines, axis=1)
    low, high = every.min(axis=1, keepdims=True), every.max(axis=1, keepdims=True)
    thickness = pen.transpose(1, 2, 0)
    room = _BITMAP - rng.uniform(0, _MARGIN, (len(every), 1, 1)) - thickness
    scale = (room / np.maximum(high - low, 1e-6)).min(axis=2, keepdims=True)
    centre = (low + high) / 2
    return [((line - centre) * scale + (_BITMAP - 1) / 2).astype(np.float32) for line in lines]


def _under_pen(line: Points, pen: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which pixels an elliptic pen covers on its way along the line."""
    radius = (pen.transpose(1, 2, 0) / 2).astype(np.float32)
    y, x = np.mgrid[:_BITMAP, :_BITMAP].reshape(2, -1).astype(np.float32)
    # Measured in radii the pen is a circle: a pixel is covered where it is at most 1 from a segment.
    grid_x, grid_y = x / radius[..., 0], y / radius[..., 1]
    starts, ways = (line / radius)[:, :-1], np.diff(line / radius, axis=1)
    covered = np.zeros((len(line), _BITMAP**2), dtype=bool)
    for start, way in zip(starts.swapaxes(0, 1), ways.swapaxes(0, 1), strict=True):
        length = np.maximum((way**2).sum(axis=1), 1e-9)
        dx, dy = grid_x - start[:, :1], grid_y - start[:, 1:]
        along = np.clip(dx * (way[:, 0] / length)[:, None] + dy * (way[:, 1] / length)[:, None], 0, 1)
        dx -= along * way[:, :1]
        dy -= along * way[:, 1:]
        covered |= dx * dx + dy * dy <= 1
    return covered
