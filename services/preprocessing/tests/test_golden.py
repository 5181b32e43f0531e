"""A change of the counts cannot pass unnoticed."""

from dataclasses import replace

import pytest
from preprocessing import golden
from preprocessing.digits_8x8 import Digits8x8Parameters
from preprocessing.feature_specs import digits_8x8

RELEASED_DIGEST = "sha256:c83b652363a195fb098b2f36e7f3a973c8d92e5c2a031e2db7d2b6dd880ef10f"


@pytest.mark.requirement("PREPROCESSING-008")
def test_this_build_gives_the_golden_rows() -> None:
    golden.verify(digits_8x8())


@pytest.mark.requirement("PREPROCESSING-008")
def test_the_digest_is_the_one_that_models_were_released_for() -> None:
    """Change it on purpose only: every model of this spec must be released anew."""
    assert digits_8x8().digest == RELEASED_DIGEST


@pytest.mark.requirement("PREPROCESSING-008")
def test_other_counts_under_the_same_digest_are_found() -> None:
    spec = digits_8x8()
    changed = replace(spec, row=lambda grey: spec.row(grey).clip(max=15))
    with pytest.raises(golden.GoldenMismatch, match=r"other rows than recorded for .*bold-5\.bmp"):
        golden.verify(changed)


@pytest.mark.requirement("PREPROCESSING-008")
@pytest.mark.parametrize("changed", [digits_8x8(Digits8x8Parameters(min_ink=200)), digits_8x8(version=2)])
def test_other_parameters_or_another_version_are_another_digest(changed: object) -> None:
    assert isinstance(changed, type(digits_8x8()))
    assert changed.digest != RELEASED_DIGEST
    with pytest.raises(golden.GoldenMismatch, match="golden vectors are of"):
        golden.verify(changed)
