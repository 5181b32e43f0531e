"""One prediction, in each of the ways to ask for it."""

from collections.abc import Awaitable, Callable

from fairlead.gateway.v1 import gateway_pb2 as pb
from gateway.native.grpc_api import SERVICE
from gateway.oip.grpc_api import OIP_SERVICE
from tritonclient.grpc import service_pb2 as oip

from gateway_kit.whole import Answer, Gateway, Metadata

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes([7])

Call = Callable[[Gateway, Metadata], Awaitable[Answer]]


def tensor_message() -> oip.ModelInferRequest:
    message = oip.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(256)])
    message.inputs.add(name="pixels", datatype="FP32", shape=[1, 64])
    return message


TENSOR = {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": [1.0] * 64}]}
CALLS: dict[str, Call] = {
    "native REST": lambda g, h: g.rest("POST", "/v1/models/digits:predict", h, content=PICTURE),
    "native gRPC": lambda g, h: g.rpc(f"/{SERVICE}/Predict", h, pb.PredictRequest(model="digits", image=PICTURE)),
    "native stream": lambda g, h: g.rpc(
        f"/{SERVICE}/PredictStream", h, pb.PredictStreamRequest(model="digits", image=PICTURE)
    ),
    "OIP REST": lambda g, h: g.rest("POST", "/v2/models/digits/infer", h, json=TENSOR),
    "OIP gRPC": lambda g, h: g.rpc(f"/{OIP_SERVICE}/ModelInfer", h, tensor_message()),
    "OIP stream": lambda g, h: g.rpc(f"/{OIP_SERVICE}/ModelStreamInfer", h, tensor_message()),
}
