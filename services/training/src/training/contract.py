"""The contract of a model, models/<model>/model.yaml: what every release must keep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output; -1 is a variable size, the first dimension is the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """The part of a contract that a graph must fulfil, and the names of the files in a package."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    labels: tuple[str, ...]
    model_file: str
    golden_file: str


def read_contract(path: Path) -> Contract:
    """Read model.yaml, or raise TrainingError with what to mend."""
    try:
        document: dict[str, Any] = yaml.safe_load(path.read_bytes())
        return Contract(
            name=document["name"],
            inputs=tuple(_tensor(entry) for entry in document["inputs"]),
            outputs=tuple(_tensor(entry) for entry in document["outputs"]),
            labels=tuple(document["labels"]),
            model_file=document["files"]["model"],
            golden_file=document["files"]["golden"],
        )
    except FileNotFoundError as error:
        raise TrainingError(f"{path} is missing: --out must hold <model>/model.yaml, as models/ does.") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is not a contract: {error!r}. See models/digits/model.yaml.") from error


def _tensor(entry: dict[str, Any]) -> Tensor:
    return Tensor(entry["name"], entry["datatype"], tuple(entry["shape"]))
