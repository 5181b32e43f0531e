import numpy as np
import pytest
from training.dataset import Dataset, Rows, digest_of


@pytest.mark.requirement("TRAINING-001")
def test_the_holdout_is_the_last_quarter_in_file_order(rows: Rows, dataset: Dataset) -> None:
    assert len(dataset.holdout) == 449
    assert np.array_equal(dataset.holdout.pixels, rows.pixels[-449:])


@pytest.mark.requirement("TRAINING-001")
def test_every_row_is_in_exactly_one_part_and_in_order(rows: Rows, dataset: Dataset) -> None:
    parts = (dataset.train, dataset.validation, dataset.holdout)
    assert np.array_equal(np.concatenate([part.pixels for part in parts]), rows.pixels)
    assert np.array_equal(np.concatenate([part.labels for part in parts]), rows.labels)


@pytest.mark.requirement("TRAINING-006")
def test_the_dataset_digest_changes_with_a_count_with_a_label_and_with_the_order(rows: Rows) -> None:
    brighter, renamed = rows.pixels.copy(), rows.labels.copy()
    brighter[5, 20] += 1
    renamed[5] = 9 - renamed[5]
    variants = [
        rows,
        Rows(brighter, rows.labels),
        Rows(rows.pixels, renamed),
        Rows(rows.pixels[::-1], rows.labels[::-1]),
    ]
    assert len({digest_of(variant) for variant in variants}) == len(variants)
