"""KServe's custom predictor, the model in its own process: kserve_predictor.py --model_name NAME --model_path GRAPH."""

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model
from kserve_process import serve

_OUTPUTS = (("label", "INT64"), ("probabilities", "FP32"))


class Digits(Model):  # type: ignore[misc]
    """Runs the ONNX graph on one thread, as Triton does here."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    async def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None, response_headers: object = None
    ) -> InferResponse:
        """Answer one batch; so short a run is cheaper inline than in a thread."""
        del headers, response_headers
        arrays = self._session.run(["label", "probabilities"], {"pixels": payload.inputs[0].as_numpy()})
        outputs = []
        for (name, datatype), array in zip(_OUTPUTS, arrays, strict=True):
            output = InferOutput(name, list(array.shape), datatype)
            output.set_data_from_numpy(array)
            outputs.append(output)
        return InferResponse(payload.id or "", self.name, outputs, use_binary_outputs=payload.use_binary_outputs)


if __name__ == "__main__":
    serve(lambda arguments: Digits(arguments.model_name, arguments.model_path))
