"""The gRPC face: convert, call, convert."""

from __future__ import annotations  # grpc's run-time classes are not subscriptable

from fairlead.preprocessing.v1 import preprocessing_pb2_grpc
from fairlead.preprocessing.v1.preprocessing_pb2 import (
    DescribeRequest,
    DescribeResponse,
    FeatureSpec,
    TransformRequest,
    TransformResponse,
)
from service_runtime.admission import AdmissionGate
from service_runtime.grpc_errors import Context
from service_runtime.grpc_server import call_deadline

from preprocessing.metrics import Metrics
from preprocessing.pictures import MEDIA_TYPES
from preprocessing.transform import Transformer

_DATATYPE = "FP32"


class PreprocessingServicer(preprocessing_pb2_grpc.PreprocessingServiceServicer):
    """fairlead.preprocessing.v1.PreprocessingService over the use case."""

    def __init__(self, transformer: Transformer, gate: AdmissionGate, metrics: Metrics, *, timeout: float) -> None:
        self._transformer = transformer
        self._gate = gate
        self._metrics = metrics
        self._timeout = timeout

    async def Transform(  # noqa: N802 - grpc's name
        self, request: TransformRequest, context: Context
    ) -> TransformResponse:
        """Answer with one row per image."""
        deadline = call_deadline(context, default=self._timeout, cap=self._timeout)
        async with self._gate.admit(deadline):
            tensor = await self._transformer.transform(
                request.feature_spec, request.images, digest=request.feature_spec_digest, deadline=deadline
            )
        self._metrics.count(tensor.spec.name, tensor.rows)
        return TransformResponse(
            feature_spec=tensor.spec.name,
            feature_spec_digest=tensor.spec.digest,
            datatype=_DATATYPE,
            shape=(tensor.rows, tensor.spec.row_length),
            tensor=tensor.data,
        )

    async def Describe(  # noqa: N802 - grpc's name
        self,
        request: DescribeRequest,  # noqa: ARG002 - grpc's signature
        context: Context,  # noqa: ARG002
    ) -> DescribeResponse:
        """Describe every feature spec."""
        specs = (
            FeatureSpec(
                name=spec.name,
                digest=spec.digest,
                datatype=_DATATYPE,
                row_shape=(spec.row_length,),
                media_types=MEDIA_TYPES,
                parameters_json=spec.parameters_json,
            )
            for spec in self._transformer.specs.values()
        )
        return DescribeResponse(feature_specs=specs)
