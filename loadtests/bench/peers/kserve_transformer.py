"""KServe's transformer in front of Triton: kserve_transformer.py --model_name NAME --predictor_host TRITON.

With --predictor_protocol grpc-v2: the default, v1, is not spoken by Triton.
"""

from digits_picture import row_of
from kserve import InferInput, InferRequest, InferResponse, Model
from kserve_process import serve


class DigitsPicture(Model):  # type: ignore[misc]
    """Turns a picture into the model's row; KServe's own gRPC client asks Triton.

    The picture is the whole body over REST, which KServe hands on as it is, and one BYTES element over gRPC.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ready = True

    async def preprocess(self, payload: bytes | InferRequest, headers: dict[str, str] | None = None) -> InferRequest:
        """Return the request for the predictor."""
        del headers
        row = row_of(payload if isinstance(payload, bytes) else payload.inputs[0].as_numpy().item())
        pixels = InferInput("pixels", list(row.shape), "FP32")
        pixels.set_data_from_numpy(row)
        return InferRequest(self.name, [pixels])

    async def postprocess(
        self, result: InferResponse, headers: dict[str, str] | None = None, response_headers: object = None
    ) -> InferResponse:
        """Hand the predictor's answer on."""
        del headers, response_headers
        return result


if __name__ == "__main__":
    serve(lambda arguments: DigitsPicture(arguments.model_name))
