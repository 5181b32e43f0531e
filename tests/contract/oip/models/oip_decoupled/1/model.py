"""Counts: one request, as many answers as it asks for."""

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Answers `count` with each number below it."""

    def execute(self, requests: list) -> None:
        for request in requests:
            sender = request.get_response_sender()
            count = int(triton.get_input_tensor_by_name(request, "count").as_numpy()[0])
            for number in range(count):
                sender.send(triton.InferenceResponse([triton.Tensor("number", np.array([number], np.int32))]))
            sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
