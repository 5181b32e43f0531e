"""A model whose requests take as long as they ask for, and what Triton counts."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from local_stack.ports import free_ports
from local_stack.settings import ROOT, StackSettings, release_pins
from local_stack.stack import Stack
from onnx import TensorProto, helper
from training.package import write_package

# One turn of the loop multiplies two matrices of this size: some milliseconds.
_SIZE = 512


@dataclass(frozen=True, slots=True)
class Triton:
    """The Triton of a stack, and its own counters of one model."""

    stack: Stack
    model: str

    def pending(self) -> int:
        """Requests that wait for the model to be free."""
        return self._counter(f'nv_inference_pending_request_count{{model="{self.model}",version="1"}}')

    def computed(self) -> int:
        """Requests that were computed to their end."""
        return self._counter(f'nv_inference_request_success{{model="{self.model}",version="1"}}')

    def cancelled(self) -> int:
        """Requests that were dropped because nobody waited for them any more."""
        return self._counter(f'nv_inference_request_failure{{model="{self.model}",reason="CANCELED",version="1"}}')

    def _counter(self, name: str) -> int:
        url = f"http://127.0.0.1:{self.stack.ports['inference']['triton_metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        (value,) = (line.removeprefix(name) for line in lines if line.startswith(name))
        return int(float(value))


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The released digits beside `slow`, which multiplies matrices as often as its input says."""
    models = tmp_path_factory.mktemp("slow") / "models"
    models.mkdir()
    (models / "digits").symlink_to(ROOT / "models" / "digits")
    (models / "slow").mkdir()
    tensors = {name: {"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in ("turns", "done")}
    contract = {
        "name": "slow",
        "platform": "onnx",
        "inputs": [tensors["turns"]],
        "outputs": [tensors["done"]],
        "max_batch_size": 1,
    }
    (models / "slow" / "model.yaml").write_text(yaml.safe_dump(contract))
    one_turn = {name: [tensor | {"shape": [1, 1], "data": [1]}] for name, tensor in tensors.items()}
    golden = json.dumps({"inputs": one_turn["turns"], "outputs": one_turn["done"]}).encode()
    release = write_package(models / "slow", {"model.onnx": _looping_graph(), "golden.json": golden}, provenance={})
    return models, f"{release_pins()['INFERENCE_PINS']},slow@{release.digest}"


@pytest.fixture(scope="module")
def slow_triton(slow_models: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """A whole chain whose Triton also serves `slow`."""
    models, pins = slow_models
    chain = Stack(
        tmp_path_factory.mktemp("slow-stack"),
        ports=free_ports(),
        environment=StackSettings.read().environment,
        overrides={"inference": {"INFERENCE_MODELS": str(models), "INFERENCE_PINS": pins}},
    )
    with chain:
        yield Triton(chain, "slow")


def _looping_graph() -> bytes:
    """Return a graph that multiplies `turns` times and gives `turns` back."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "matrix"], ["after"]),
            helper.make_node("Identity", ["again"], ["go_on"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [_SIZE, _SIZE]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [_SIZE, _SIZE]),
        ],
    )
    constants = {
        "matrix": np.eye(_SIZE, dtype=np.float32),
        "yes": np.array(True),
        "scalar": np.array([], np.int64),
        "zero": np.array(0, np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["turns"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["whole", "scalar"], ["count"]),
            helper.make_node("Loop", ["count", "yes", "matrix"], ["product"], body=body),
            helper.make_node("ReduceMax", ["product"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
            helper.make_node("Add", ["turns", "nothing"], ["done"]),
        ],
        "slow",
        [helper.make_tensor_value_info("turns", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("done", TensorProto.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
