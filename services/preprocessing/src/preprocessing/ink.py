"""Where the ink of a grey picture is, whatever its polarity, noise and size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from preprocessing.pictures import PictureRefused

Pixels = NDArray[np.uint8]

_BLUR = ImageFilter.BoxBlur(1)


@dataclass(frozen=True, slots=True)
class InkParameters:
    """How ink is told from ground."""

    survey_side: int = 96
    """Ink is looked for in a reduced picture whose longer side is about this."""

    darkest_share: float = 0.01
    """The ink's level is the one that this share of the pixels reaches."""

    edge_level: float = 0.6
    """Where between ground and ink the digit's outline is looked for."""

    min_contrast: int = 24
    """Fewer grey levels between ground and ink are a blank picture."""

    min_contrast_in_noise: float = 4.0
    """So many standard deviations of the ground's noise the ink must stand out."""

    min_run: int = 2
    """Rows and columns with fewer ink pixels are specks."""


@dataclass(frozen=True, slots=True)
class Ink:
    """A digit cut out of its picture, light on dark, and the level halfway between ground and ink."""

    cutout: Image.Image
    threshold: int


def find_ink(grey: Image.Image, parameters: InkParameters) -> Ink:
    """Cut the ink out of `grey`; raises PictureRefused when there is none."""
    factor = max(1, round(max(grey.size) / parameters.survey_side)) | 1
    survey = _survey(grey, factor)
    if survey.sum() > _ground(survey)[0] * survey.size:  # the mean is lighter than the ground
        # Pillow's reduce rounds a picture and its negative differently, so the negative is surveyed anew.
        grey = ImageChops.invert(grey)
        survey = _survey(grey, factor)
    survey = 255 - survey  # dark on light by now; from here on ink is high
    if factor == 1:  # nothing has averaged the noise away yet
        survey = _pixels(Image.fromarray(survey).filter(_BLUR))
    ground, noise = _ground(survey)
    level = _ink_level(survey, parameters.darkest_share)
    if level - ground < max(parameters.min_contrast, parameters.min_contrast_in_noise * noise):
        raise _blank()
    edge = ground + (level - ground) * parameters.edge_level
    box = _bounding_box(survey > int(edge), parameters.min_run)  # levels are whole: an int compares without a cast
    cutout = grey.crop(_scaled(box, factor, (survey.shape[1], survey.shape[0]), grey.size))
    return Ink(ImageChops.invert(cutout), (ground + level) // 2)


def _blank() -> PictureRefused:
    return PictureRefused(
        "The picture is blank: no digit stands out from the ground. "
        "Draw one digit, thick and large, dark on light or light on dark."
    )


def _survey(grey: Image.Image, factor: int) -> Pixels:
    if factor == 1:
        return _pixels(grey)
    width, height = grey.size
    # Partial blocks at the far edges would be averaged over fewer pixels, so they are left out.
    whole = (0, 0, width - width % factor or width, height - height % factor or height)
    return _pixels(grey.reduce(factor, whole))


def _pixels(image: Image.Image) -> Pixels:
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width)


def _ground(survey: Pixels) -> tuple[int, float]:
    """Return the level and the noise of the ground, judged by the picture's rim."""
    rim = np.concatenate((survey[0], survey[-1], survey[:, 0], survey[:, -1]))[1:]  # an odd number has one middle
    rim.sort()
    ground = int(rim[rim.size // 2])
    # The spread of the middle half is 1.35 standard deviations, whatever ink touches the rim.
    spread = int(rim[rim.size * 3 // 4]) - int(rim[rim.size // 4])
    return ground, spread / 1.35


def _ink_level(survey: Pixels, share: float) -> int:
    rank = max(4, int(survey.size * share))
    if survey.size <= rank:
        raise _blank()
    return int(np.partition(survey, -rank, axis=None)[-rank])


def _bounding_box(ink: NDArray[np.bool_], min_run: int) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(ink.sum(axis=axis, dtype=np.uint32) >= min_run) for axis in (1, 0))
    if not rows.size or not columns.size:
        raise _blank()
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _scaled(
    box: tuple[int, int, int, int], factor: int, surveyed: tuple[int, int], full: tuple[int, int]
) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    # What the survey left out at the far edges belongs to its last row and column.
    far_right = full[0] if right == surveyed[0] else right * factor
    far_bottom = full[1] if bottom == surveyed[1] else bottom * factor
    return left * factor, top * factor, far_right, far_bottom
