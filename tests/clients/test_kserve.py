"""KServe's inference clients, unchanged."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_stack.stack import Stack

CALLS = Path(__file__).parent / "kserve_calls.py"


@pytest.mark.requirement("OIP-011")
def test_kserves_rest_and_grpc_clients_read_a_zero(
    stack: Stack, zero: np.ndarray, run_program: Callable[..., str]
) -> None:
    printed = run_program(
        [sys.executable, CALLS, stack.http_url, stack.grpc_address, json.dumps(zero.ravel().tolist())]
    )
    assert json.loads(printed.splitlines()[-1]) == {
        "rest ready": [True, True, True],
        "rest JSON": [0, 0],
        "rest binary": [0, 0],
        "grpc ready": [True, True, True],
        "grpc typed": [0, 0],
        "grpc raw": [0, 0],
    }
