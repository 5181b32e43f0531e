"""Golden vectors: inputs with the answers that any server of the package must give."""

import json

import numpy as np

from training.augmentation import FULL
from training.contract import Contract
from training.dataset import Pixels, Rows
from training.export import infer

# Another processor or a GPU rounds otherwise; a wrong weight, an empty tensor or a swapped output differs far more.
TOLERANCE = 1e-3


def golden_inputs(rows: Rows) -> Pixels:
    """Return the first row of every digit, an empty and a full picture."""
    firsts = [int(np.argmax(rows.labels == digit)) for digit in range(10)]
    extremes = np.repeat(np.array([[0], [FULL]], dtype=np.float32), rows.pixels.shape[1], axis=1)
    return np.vstack([rows.pixels[firsts], extremes])


def golden_file(graph: bytes, contract: Contract, *, pixels: Pixels) -> bytes:
    """Return the vectors as JSON tensors in the words of the Open Inference Protocol."""
    answers = dict(zip((tensor.name for tensor in contract.outputs), infer(graph, pixels), strict=True))
    document = {
        "inputs": [_tensor(contract.inputs[0].name, contract.inputs[0].datatype, pixels)],
        "outputs": [
            _tensor(tensor.name, tensor.datatype, answers[tensor.name])
            | {"tolerance": TOLERANCE if tensor.datatype == "FP32" else 0}
            for tensor in contract.outputs
        ],
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def _tensor(name: str, datatype: str, values: np.ndarray) -> dict[str, object]:
    # Seven digits are all that a 32-bit float holds.
    data = [round(float(value), 7) if values.dtype.kind == "f" else int(value) for value in values.ravel()]
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": data}
