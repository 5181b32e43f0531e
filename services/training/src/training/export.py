"""The ONNX graph: what scikit-learn computes, as the contract names and shapes it."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from training.calibration import Probabilities
from training.contract import Contract
from training.dataset import Labels, Pixels
from training.errors import TrainingError

PARITY = 1e-5

# Old enough for the ONNX Runtime of every Triton that is in use, new enough for all that the graph needs.
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION = 8
_DATATYPES = {TensorProto.FLOAT: "FP32", TensorProto.INT64: "INT64"}


def export(pipeline: Pipeline, contract: Contract) -> bytes:
    """Return the serialized graph, or raise TrainingError when it is not what the contract promises."""
    width = contract.inputs[0].shape[1]
    model = to_onnx(
        pipeline,
        initial_types=[(contract.inputs[0].name, FloatTensorType([None, width]))],
        options={"zipmap": False, "output_class_labels": False},
        target_opset=_OPSETS,
        name=contract.name,
    )
    _one_label_per_row(model.graph)
    model.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx takes them from a set
    model.ir_version = _IR_VERSION
    model.producer_version = ""  # the digest says what the graph is, not which release of a tool wrote it
    onnx.checker.check_model(model, full_check=True)
    _require_contract(model.graph, contract)
    _require_labels(pipeline, contract)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def infer(graph: bytes, pixels: Pixels) -> tuple[Labels, Probabilities]:
    """Run the graph as a server would."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], {"pixels": pixels})
    return label, probabilities


def require_parity(graph: bytes, pipeline: Pipeline, *, pixels: Pixels) -> float:
    """Return the largest difference to scikit-learn's probabilities; TrainingError when it is over 1e-5."""
    label, probabilities = infer(graph, pixels)
    expected = pipeline.predict_proba(pixels)
    difference = float(np.abs(probabilities - expected).max())
    if difference > PARITY or not np.array_equal(label.ravel(), pipeline.predict(pixels)):
        raise TrainingError(f"The graph differs from scikit-learn by {difference:.1e}, more than {PARITY:.0e}.")
    return difference


def _one_label_per_row(graph: onnx.GraphProto) -> None:
    """Shape the labels [-1, 1], as Triton reports them: it cannot declare an output without dimensions."""
    flat = graph.output[0]
    shape = numpy_helper.from_array(np.array([-1, 1], dtype=np.int64), "label_shape")
    graph.initializer.append(shape)
    for node in graph.node:
        node.output[:] = ["label_flat" if name == flat.name else name for name in node.output]
    graph.node.append(helper.make_node("Reshape", ["label_flat", "label_shape"], [flat.name], name="ReshapeLabel"))
    flat.CopyFrom(helper.make_tensor_value_info(flat.name, TensorProto.INT64, [None, 1]))


def _require_contract(graph: onnx.GraphProto, contract: Contract) -> None:
    for promised, made in ((contract.inputs, graph.input), (contract.outputs, graph.output)):
        expected = [(tensor.name, tensor.datatype, tensor.shape) for tensor in promised]
        actual = [(value.name, _datatype(value), _shape(value)) for value in made]
        if expected != actual:
            raise TrainingError(f"The graph has {actual}, but the contract of {contract.name} promises {expected}.")


def _require_labels(pipeline: Pipeline, contract: Contract) -> None:
    learned = tuple(str(label) for label in pipeline.classes_)
    if learned != contract.labels:
        raise TrainingError(
            f"The model tells {learned} apart, but the labels of {contract.name} are {contract.labels}."
        )


def _datatype(value: onnx.ValueInfoProto) -> str:
    return _DATATYPES[value.type.tensor_type.elem_type]


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(size.dim_value or -1 for size in value.type.tensor_type.shape.dim)
