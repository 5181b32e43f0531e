"""Other models for inference to run, as training releases them."""

import uuid
from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import numpy_helper
from training.contract import read_contract
from training.dataset import Dataset, load_rows
from training.golden import golden_file, golden_inputs
from training.package import write_package

from storykit.changes import RELEASE, pinned
from storykit.clone import Clone

# Which answer is given in place of which: three of the five digits that callers draw, each for the next.
_MISTAKES = {0: 2, 2: 4, 4: 0}


def confused(clone: Clone) -> str:
    """Pin a model that is as fast and as sure as the one that runs, and takes some digits for others."""
    return _release(clone, _permuted(_model_file(clone, pinned(clone))))


def twin(clone: Clone) -> str:
    """Pin a model that answers exactly as the one that runs, under a digest that nobody has judged yet."""
    model = onnx.load_from_string(_model_file(clone, pinned(clone)))
    model.doc_string = f"twin {uuid.uuid4()}"
    content: bytes = model.SerializeToString(deterministic=True)
    return _release(clone, content)


def _release(clone: Clone, graph: bytes) -> str:
    models = _models(clone)
    contract = read_contract(models / "model.yaml")
    files = {
        contract.model_file: graph,
        contract.golden_file: golden_file(graph, contract, pixels=golden_inputs(Dataset.split(load_rows()).train)),
    }
    record = yaml.safe_load(_record(models, pinned(clone)).read_text())
    release = write_package(models, files, provenance={key: record[key] for key in ("dataset", "seed", "metrics")})
    return pin(clone, release.digest)


def earlier(clone: Clone) -> str:
    """Pin the release before the one that runs, which its record calls more accurate."""
    records = [yaml.safe_load(path.read_text()) for path in (_models(clone) / "releases").glob("*.yaml")]
    now = next(each for each in records if each["digest"] == pinned(clone))
    before = max((each for each in records if each["version"] < now["version"]), key=lambda each: int(each["version"]))
    assert before["metrics"]["accuracy"]["value"] > now["metrics"]["accuracy"]["value"]
    return pin(clone, before["digest"])


def pin(clone: Clone, digest: str) -> str:
    """Let local run a model, and return its digest."""
    clone.replace(RELEASE, pinned(clone), digest)
    return digest


def _permuted(graph: bytes) -> bytes:
    """Exchange columns of the last layer: what it says of one digit it says of another."""
    model = onnx.load_from_string(graph)
    order = np.array([_MISTAKES.get(digit, digit) for digit in range(10)])
    changed = 0
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type == onnx.TensorProto.FLOAT and values.shape and values.shape[-1] == len(order):
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[..., order]), tensor.name))
            changed += 1
    assert changed == 2, f"weights and bias of the last layer were expected, {changed} tensors end in ten"
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _model_file(clone: Clone, digest: str) -> bytes:
    models = _models(clone)
    files = {each["path"]: each["sha256"] for each in yaml.safe_load(_record(models, digest).read_text())["files"]}
    return (models / "blobs" / "sha256" / str(files["model.onnx"])).read_bytes()


def _models(clone: Clone) -> Path:
    return clone.folder / "models" / "digits"


def _record(models: Path, digest: str) -> Path:
    return models / "releases" / f"{digest.removeprefix('sha256:')[:12]}.yaml"
