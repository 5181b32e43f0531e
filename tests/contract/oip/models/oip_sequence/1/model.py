"""Adds up the steps of a sequence; it remembers one sequence at a time."""

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Answers each step with the sum so far."""

    def initialize(self, _args: dict) -> None:
        self._sum = np.zeros((1, 1), np.int32)

    def execute(self, requests: list) -> list:
        return [self._answer(request) for request in requests]

    def _answer(self, request: object) -> object:
        if triton.get_input_tensor_by_name(request, "start").as_numpy().any():
            self._sum = np.zeros((1, 1), np.int32)
        self._sum = self._sum + triton.get_input_tensor_by_name(request, "step").as_numpy()
        return triton.InferenceResponse([triton.Tensor("sum", self._sum)])
