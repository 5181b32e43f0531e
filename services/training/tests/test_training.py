"""Whole runs, by the command that make train calls and by the function below it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml
from training.__main__ import main
from training.classifier import Recipe
from training.dataset import Dataset, Rows
from training.pipeline import Run, run

Honest = tuple[Path, Run]


def trained(dataset: Dataset, recipe: Recipe, models: Path) -> Run:
    return run(dataset, recipe, models=models, say=lambda _: None)


def blobs(models: Path, result: Run) -> dict[str, bytes]:
    entries = yaml.safe_load(result.release.path.read_text())["files"]
    return {entry["path"]: (models / "digits/blobs/sha256" / entry["sha256"]).read_bytes() for entry in entries}


@pytest.fixture(scope="module")
def honest(dataset: Dataset, quick: Recipe, committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Honest:
    models = tmp_path_factory.mktemp("models")
    (models / "digits").mkdir()
    shutil.copy(committed / "model.yaml", models / "digits")
    return models, trained(dataset, quick, models)


@pytest.mark.requirement("TRAINING-006")
def test_the_same_seed_gives_the_same_digest_and_another_seed_another(
    dataset: Dataset, quick: Recipe, honest: Honest
) -> None:
    models, first = honest
    again = trained(dataset, quick, models)
    other = trained(dataset, Recipe(seed=quick.seed + 1, epochs=quick.epochs, drawn=quick.drawn), models)
    assert again.release.digest == first.release.digest
    assert not again.release.new
    assert other.release.digest != first.release.digest


@pytest.mark.requirement("TRAINING-001")
def test_the_holdout_changes_the_figures_but_never_the_package(
    dataset: Dataset, quick: Recipe, honest: Honest, models: Path
) -> None:
    """Wrong labels in the holdout must leave the weights, the temperature and the golden vectors as they are."""
    spoilt = Rows(dataset.holdout.pixels[::-1], 9 - dataset.holdout.labels)
    cheated = trained(Dataset(dataset.train, dataset.validation, spoilt, dataset.digest), quick, models)
    assert cheated.release.digest == honest[1].release.digest
    assert cheated.after.accuracy.right < honest[1].after.accuracy.right


@pytest.mark.requirement("TRAINING-002")
def test_the_graph_keeps_the_contract_and_scales_by_itself(dataset: Dataset, honest: Honest) -> None:
    models, result = honest
    session = onnxruntime.InferenceSession(blobs(models, result)["model.onnx"])
    assert [(each.name, each.type, each.shape[1:]) for each in session.get_inputs()] == [
        ("pixels", "tensor(float)", [64])
    ]
    assert [(each.name, each.type, each.shape[1:]) for each in session.get_outputs()] == [
        ("label", "tensor(int64)", [1]),
        ("probabilities", "tensor(float)", [10]),
    ]
    label, probabilities = session.run(None, {"pixels": dataset.holdout.pixels})
    assert label.shape == (449, 1)
    assert np.array_equal(label[:, 0], probabilities.argmax(axis=1))
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert result.parity <= 1e-5
    assert result.after.accuracy.value > 0.8


@pytest.mark.requirement("TRAINING-005")
def test_golden_vectors_are_inputs_with_the_graphs_own_answers(honest: Honest) -> None:
    models, result = honest
    files = blobs(models, result)
    golden = json.loads(files["golden.json"])
    pixels = np.array(golden["inputs"][0]["data"], dtype=np.float32).reshape(golden["inputs"][0]["shape"])
    answers = onnxruntime.InferenceSession(files["model.onnx"]).run(None, {"pixels": pixels})
    assert [entry["name"] for entry in golden["outputs"]] == ["label", "probabilities"]
    for expected, answer in zip(golden["outputs"], answers, strict=True):
        assert expected["shape"] == list(answer.shape)
        assert np.abs(answer.ravel() - expected["data"]).max() <= min(expected["tolerance"], 1e-6)


@pytest.mark.requirement("TRAINING-004")
def test_the_release_record_says_where_the_package_came_from_and_how_good_it_is(
    dataset: Dataset, quick: Recipe, honest: Honest
) -> None:
    _, result = honest
    record = yaml.safe_load(result.release.path.read_text())
    assert record["dataset"]["digest"] == dataset.digest
    assert record["seed"] == quick.seed
    assert record["code_commit"]
    accuracy = record["metrics"]["accuracy"]
    assert accuracy["n"] == 449
    assert accuracy["interval95"][0] < accuracy["value"] < accuracy["interval95"][1]
    assert sum(share["n"] for share in record["metrics"]["per_class"].values()) == 449


@pytest.mark.requirement("TRAINING-004")
def test_the_committed_release_reads_at_least_nine_in_ten_of_the_holdout_for_sure(committed: Path) -> None:
    for path in (committed / "releases").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["metrics"]["accuracy"]["interval95"][0] >= 0.9


@pytest.mark.requirement("TRAINING-007")
def test_the_command_shows_progress_and_a_table_and_says_when_nothing_changed(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(models), "--epochs", "1", "--seed", "3"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "epoch 1/1" in first
    assert "accuracy" in first
    assert "version 1, new" in first
    assert main(arguments) == 0
    assert "version 1, unchanged" in capsys.readouterr().out


@pytest.mark.requirement("TRAINING-006")
def test_another_process_makes_the_same_package_whatever_the_order_of_its_sets(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "training", "--out", str(models), "--epochs", "1", "--seed", "3"]
    # Of these the second turns round what skl2onnx keeps in a set.
    for seed, says in (("0", "version 1, new"), ("30", "version 1, unchanged")):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        assert says in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.requirement("TRAINING-007")
@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "--out"),
        (["--out", "models", "--seed", "0"], "whole number from 1"),
        (["--out", "models", "--epochs", "many"], "whole number from 1, not 'many'"),
    ],
)
def test_wrong_arguments_are_refused_with_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert hint in capsys.readouterr().err


@pytest.mark.requirement("TRAINING-007")
@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("name: digits", "nome: digits", "is not a contract"),
        ("inputs:", "inputs: [", "is not a contract"),
        ("shape: [-1, 10]", "shape: [-1, 12]", "the contract of digits promises"),
        ("name: probabilities", "name: odds", "the contract of digits promises"),
        ('"9"]', '"nine"]', "the labels of digits are"),
    ],
)
def test_a_contract_that_the_model_cannot_keep_ends_the_run_before_anything_is_written(
    models: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, hint: str
) -> None:
    contract = models / "digits" / "model.yaml"
    contract.write_text(contract.read_text().replace(old, new, 1))
    assert main(["--out", str(models), "--epochs", "1"]) == 1
    assert hint in capsys.readouterr().err
    assert not (models / "digits" / "releases").exists()


@pytest.mark.requirement("TRAINING-007")
def test_a_folder_without_a_contract_is_refused_with_a_hint(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(models / "digits")
    assert main(["--out", str(models)]) == 1
    assert "--out must hold <model>/model.yaml" in capsys.readouterr().err
