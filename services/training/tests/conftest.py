"""Small rows, a quick recipe and a models folder with the real contract."""

import shutil
from pathlib import Path

import pytest
from training.classifier import Recipe
from training.dataset import Dataset, Rows, load_rows

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def committed() -> Path:
    return ROOT / "models" / "digits"


@pytest.fixture
def models(tmp_path: Path, committed: Path) -> Path:
    (tmp_path / "digits").mkdir()
    shutil.copy(committed / "model.yaml", tmp_path / "digits")
    return tmp_path


@pytest.fixture(scope="session")
def rows() -> Rows:
    return load_rows()


@pytest.fixture(scope="session")
def dataset(rows: Rows) -> Dataset:
    return Dataset.split(rows)


@pytest.fixture(scope="session")
def quick() -> Recipe:
    return Recipe(epochs=3, drawn=20)
