"""KServe's transformer in front of Triton: kserve_transformer.py TRITON_GRPC_ADDRESS HTTP_PORT GRPC_PORT."""

import sys

from digits_picture import row_of
from kserve import InferInput, InferRequest, InferResponse, Model
from kserve.predictor_config import PredictorConfig
from kserve_process import serve


class DigitsPicture(Model):  # type: ignore[misc]
    """Turns a picture into the model's row; KServe's own gRPC client asks Triton.

    The picture is the whole body over REST, which KServe hands on as it is, and one BYTES element over gRPC.
    """

    def __init__(self) -> None:
        super().__init__("digits")
        self.ready = True

    async def preprocess(self, payload: bytes | InferRequest, headers: dict[str, str] | None = None) -> InferRequest:
        """Return the request for the predictor."""
        del headers
        row = row_of(payload if isinstance(payload, bytes) else payload.inputs[0].as_numpy().item())
        pixels = InferInput("pixels", list(row.shape), "FP32")
        pixels.set_data_from_numpy(row)
        return InferRequest("digits", [pixels])

    async def postprocess(
        self, result: InferResponse, headers: dict[str, str] | None = None, response_headers: object = None
    ) -> InferResponse:
        """Hand the predictor's answer on."""
        del headers, response_headers
        return result


if __name__ == "__main__":
    predictor = PredictorConfig(predictor_host=sys.argv[1], predictor_protocol="grpc-v2")
    serve(DigitsPicture(), http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]), predictor=predictor)
