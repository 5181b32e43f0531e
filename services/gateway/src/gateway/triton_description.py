"""What Triton says of one version of a model."""

import asyncio
import json
from dataclasses import replace

from service_runtime.deadlines import Deadline
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.grpc import service_pb2 as oip

from gateway.catalog import ServedModel, TensorSpec
from gateway.triton import InferenceServer


async def describe(inference: InferenceServer, name: str, version: str, *, deadline: Deadline) -> ServedModel:
    """Ask for a version, the latest by default, and whether the model is ready."""
    served, ready = await asyncio.gather(
        describe_ready(inference, name, version, deadline=deadline),
        inference.call("ModelReady", oip.ModelReadyRequest(name=name), oip.ModelReadyResponse, deadline=deadline),
    )
    return served if ready.ready else replace(served, ready=False)


async def describe_ready(inference: InferenceServer, name: str, version: str, *, deadline: Deadline) -> ServedModel:
    """Ask for a version that has just answered.

    All that belongs to it comes from its configuration, by one call: a second call may meet another Triton, with
    another version.
    """
    asked = await inference.call(
        "ModelConfig", oip.ModelConfigRequest(name=name, version=version), oip.ModelConfigResponse, deadline=deadline
    )
    config = asked.config
    versions = [str(each) for each in sorted(config.version_policy.specific.versions)]
    if not versions:  # a configuration that the launcher has not written
        metadata = await inference.call(
            "ModelMetadata",
            oip.ModelMetadataRequest(name=name, version=version),
            oip.ModelMetadataResponse,
            deadline=deadline,
        )
        versions = sorted(metadata.versions, key=int)
    return _served(config, version or (versions[-1] if versions else ""), versions)


def _served(config: pb.ModelConfig, version: str, versions: list[str]) -> ServedModel:
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    batch = (-1,) if config.max_batch_size > 0 else ()
    return ServedModel(
        name=config.name,
        version=version,
        versions=tuple(versions),
        platform=config.platform or config.backend,
        ready=True,
        digest=parameters.get("digest", ""),
        inputs=tuple(_tensor(tensor, batch, optional=tensor.optional) for tensor in config.input),
        outputs=tuple(_tensor(tensor, batch) for tensor in config.output),
        max_batch_size=config.max_batch_size,
        labels=tuple(json.loads(parameters.get("labels", "[]"))),
        feature_spec=parameters.get("feature_spec", ""),
        feature_spec_digest=parameters.get("feature_spec_digest", ""),
        decoupled=config.model_transaction_policy.decoupled,
    )


def _tensor(tensor: pb.ModelInput | pb.ModelOutput, batch: tuple[int, ...], *, optional: bool = False) -> TensorSpec:
    datatype = pb.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return TensorSpec(
        tensor.name, "BYTES" if datatype == "STRING" else datatype, (*batch, *tensor.dims), optional=optional
    )
