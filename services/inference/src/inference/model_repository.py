"""Triton's model repository, generated from a verified package and its model.yaml."""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from google.protobuf import text_format
from service_runtime.process import StartError
from tritonclient.grpc import model_config_pb2 as pb

from inference.model_package import Batching, Package, Tensor
from inference.settings import Settings

_PROGRAM = "model.py"


def lay_out(package: Package, repository: Path, settings: Settings) -> Path:
    """Write the package as one Triton model version; return the version's folder."""
    version = repository / package.model / str(package.release.version)
    package.extract(version)
    if settings.backend == "python-onnxruntime":
        program = resources.files("inference").joinpath("triton_model.py")
        (version / _PROGRAM).write_bytes(program.read_bytes())
    config = text_format.MessageToString(model_config(package, settings))
    (repository / package.model / "config.pbtxt").write_text(config, encoding="utf-8")
    return version


def model_config(package: Package, settings: Settings) -> pb.ModelConfig:
    """Return the model configuration that Triton is given."""
    contract = package.contract
    in_python = settings.backend == "python-onnxruntime"
    config = pb.ModelConfig(
        name=package.model,
        backend="python" if in_python else "onnxruntime",
        default_model_filename=_PROGRAM if in_python else contract.files.model,
        max_batch_size=contract.max_batch_size,
        input=[pb.ModelInput(**_tensor(tensor)) for tensor in contract.inputs],
        output=[pb.ModelOutput(**_tensor(tensor)) for tensor in contract.outputs],
        instance_group=[pb.ModelInstanceGroup(count=settings.instances, kind=_kind(settings))],
        dynamic_batching=_batching(contract.dynamic_batching),
    )
    config.version_policy.specific.versions.append(package.release.version)
    for key, value in _parameters(package).items():
        config.parameters[key].string_value = value
    return config


def _tensor(tensor: Tensor) -> dict[str, object]:
    if tensor.shape[0] != -1 or len(tensor.shape) == 1:
        raise StartError(
            f"model.yaml: '{tensor.name}' has shape {list(tensor.shape)}. "
            "Triton batches by the first size, which must be -1, and needs at least one more."
        )
    return {
        "name": tensor.name,
        "data_type": pb.DataType.Value(f"TYPE_{tensor.datatype}"),
        "dims": tensor.shape[1:],
    }


def _kind(settings: Settings) -> int:
    return int(pb.ModelInstanceGroup.KIND_GPU if settings.gpu else pb.ModelInstanceGroup.KIND_CPU)


def _batching(batching: Batching) -> pb.ModelDynamicBatching:
    # No queue policy: with one (any of max_queue_size, timeout override), requests of this Triton get stuck in the
    # queue for seconds (triton-inference-server/server#8870). Queues are bounded, and deadlines kept, before Triton.
    return pb.ModelDynamicBatching(max_queue_delay_microseconds=batching.max_queue_delay_microseconds)


def _parameters(package: Package) -> Mapping[str, str]:
    contract = package.contract
    return {
        "model_file": contract.files.model,
        "digest": package.release.digest,
        "feature_spec": contract.feature_spec,
        "feature_spec_digest": contract.feature_spec_digest,
        "labels": json.dumps(contract.labels),
    }
