"""What Triton is given to read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from inference.model_package import load_package
from inference.model_repository import lay_out
from inference.pins import Pin
from inference.settings import Settings
from service_runtime.process import StartError
from tritonclient.grpc import model_config_pb2 as pb

WritePackage = Callable[..., Any]


def laid_out(written: Any, repository: Path, **settings: Any) -> pb.ModelConfig:
    (pin,) = Pin.parse_all(written.pin)
    lay_out(load_package(written.models, pin), repository, Settings(**settings))
    return text_format.Parse((repository / "doubler" / "config.pbtxt").read_text(), pb.ModelConfig())


@pytest.mark.requirement("INFERENCE-004")
def test_the_release_becomes_a_triton_version_that_carries_its_digest(
    write_package: WritePackage, tmp_path: Path
) -> None:
    written = write_package()
    config = laid_out(written, tmp_path / "repository")
    assert (tmp_path / "repository" / "doubler" / "3" / "model.onnx").read_bytes() == b"a graph"
    assert list(config.version_policy.specific.versions) == [3]
    values = {key: parameter.string_value for key, parameter in config.parameters.items()}
    assert values == {
        "digest": written.pin.partition("@")[2],
        "feature_spec": "pairs",
        "feature_spec_digest": "sha256:" + "5" * 64,
        "labels": json.dumps(["low", "high"]),
        "model_file": "model.onnx",
    }


@pytest.mark.requirement("INFERENCE-004")
def test_the_contract_becomes_tensors_and_batching_without_the_batch_dimension(
    write_package: WritePackage, tmp_path: Path
) -> None:
    config = laid_out(write_package(), tmp_path / "repository", instances=2)
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [("x", pb.TYPE_FP32, [2])]
    assert [(each.name, each.data_type, list(each.dims)) for each in config.output] == [("y", pb.TYPE_FP32, [2])]
    assert config.max_batch_size == 8
    assert config.dynamic_batching.max_queue_delay_microseconds == 250
    assert not config.dynamic_batching.HasField("default_queue_policy"), "its presence stalls this Triton's batcher"
    assert [(group.count, group.kind) for group in config.instance_group] == [(2, pb.ModelInstanceGroup.KIND_CPU)]


def test_the_python_backend_is_given_our_program(write_package: WritePackage, tmp_path: Path) -> None:
    config = laid_out(write_package(), tmp_path / "repository")
    assert (config.backend, config.default_model_filename) == ("python", "model.py")
    assert "onnxruntime" in (tmp_path / "repository" / "doubler" / "3" / "model.py").read_text()


def test_the_image_backend_is_given_the_graph_alone(write_package: WritePackage, tmp_path: Path) -> None:
    config = laid_out(write_package(), tmp_path / "repository", backend="onnxruntime", gpu=True)
    assert (config.backend, config.default_model_filename) == ("onnxruntime", "model.onnx")
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU
    assert not (tmp_path / "repository" / "doubler" / "3" / "model.py").exists()


@pytest.mark.parametrize("shape", [[4, 2], [-1]])
def test_a_tensor_that_triton_cannot_batch_is_refused(
    write_package: WritePackage, tmp_path: Path, shape: list[int]
) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": shape}
    contract = {
        "name": "doubler",
        "platform": "onnx",
        "inputs": [tensor],
        "outputs": [tensor | {"shape": [-1, 1]}],
        "max_batch_size": 1,
    }
    with pytest.raises(StartError, match="Triton batches by the first size, which must be -1"):
        laid_out(write_package(contract=contract), tmp_path / "repository")
