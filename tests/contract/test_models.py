"""What models/ promises agrees with the services that make and serve it."""

from pathlib import Path

import pytest
import yaml
from preprocessing.feature_specs import digits_8x8
from training.contract import read_contract

DIGITS = Path(__file__).resolve().parents[2] / "models" / "digits"


@pytest.mark.requirement("TRAINING-008")
def test_digits_names_the_feature_spec_that_preprocessing_makes() -> None:
    """After a change of the spec: measure the chain again, then write the new digest into model.yaml."""
    contract = yaml.safe_load((DIGITS / "model.yaml").read_text())
    spec = digits_8x8()
    assert (contract["feature_spec"], contract["feature_spec_digest"]) == (spec.name, spec.digest)
    assert read_contract(DIGITS / "model.yaml").inputs[0].shape == (-1, spec.row_length)


def test_every_committed_blob_belongs_to_a_release() -> None:
    records = [yaml.safe_load(path.read_text()) for path in (DIGITS / "releases").glob("*.yaml")]
    named = {entry["sha256"] for record in records for entry in record["files"]}
    assert {path.name for path in (DIGITS / "blobs" / "sha256").iterdir()} == named


@pytest.mark.requirement("MODELS-001")
def test_no_two_releases_of_a_model_bear_one_version() -> None:
    """An answer names its version: that is how the gateway knows which package gave it."""
    versions = [yaml.safe_load(path.read_text())["version"] for path in (DIGITS / "releases").glob("*.yaml")]
    assert len(set(versions)) == len(versions) > 1
