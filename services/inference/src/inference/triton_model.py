"""The model.py of Triton's Python backend: one ONNX Runtime call per batch, whatever the number of requests.

Nobody imports it here: the launcher copies it into the model repository, and Triton's environment runs it.
"""

from __future__ import annotations  # the backend gives its classes names after this file is read

import json
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb


class TritonPythonModel:
    """What the Python backend looks for in a model.py."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model of this version and remember the names of its tensors."""
        config = json.loads(args["model_config"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        options = onnxruntime.SessionOptions()
        # More threads for a small graph cost more in waiting than they bring; instances scale instead.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        name = config["parameters"]["model_file"]["string_value"]
        model = Path(args["model_repository"], args["model_version"], name)
        self._run = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run

    def execute(self, requests: list[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Answer all requests; what goes wrong is returned, for a raised text would reach callers with its stack."""
        try:
            return self._answer(requests)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and answered
            pb.Logger.log_error(f"model.py: {type(error).__name__}: {error}")
            failed = pb.InferenceResponse(error=pb.TritonError("The model could not compute this batch."))
            return [failed] * len(requests)

    def _answer(self, requests: list[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        feeds = [
            [pb.get_input_tensor_by_name(request, name).as_numpy() for request in requests] for name in self._inputs
        ]
        if len(requests) == 1:
            results = self._run(self._outputs, {name: rows[0] for name, rows in zip(self._inputs, feeds, strict=True)})
            return [self._response(results)]
        batch = {name: np.concatenate(rows) for name, rows in zip(self._inputs, feeds, strict=True)}
        results = self._run(self._outputs, batch)
        bounds = pairwise(accumulate((len(rows) for rows in feeds[0]), initial=0))
        return [self._response([rows[start:end] for rows in results]) for start, end in bounds]

    def _response(self, results: list[np.ndarray]) -> pb.InferenceResponse:
        return pb.InferenceResponse([pb.Tensor(name, rows) for name, rows in zip(self._outputs, results, strict=True)])
