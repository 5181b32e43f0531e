"""Calls the stack by KServe's own clients; a process apart, as KServe and tritonclient claim the same proto names."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

MODEL = "digits"


async def main(http_url: str, grpc_address: str, pixels: list[float]) -> dict[str, Any]:
    """Return what each client was told."""
    told: dict[str, Any] = {}
    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    told["rest ready"] = [
        await rest.is_server_live(http_url),
        await rest.is_server_ready(http_url),
        await rest.is_model_ready(http_url, MODEL),
    ]
    for binary in (False, True):
        answer = await rest.infer(http_url, request(pixels, binary=binary), model_name=MODEL)
        told[f"rest {'binary' if binary else 'JSON'}"] = labels(answer)
    await rest.close()
    async with InferenceGRPCClient(grpc_address) as client:
        told["grpc ready"] = [
            await client.is_server_live(),
            await client.is_server_ready(),
            await client.is_model_ready(MODEL),
        ]
        for binary in (False, True):
            answer = await client.infer(request(pixels, binary=binary))
            told[f"grpc {'raw' if binary else 'typed'}"] = labels(answer)
    return told


def request(pixels: list[float], *, binary: bool) -> InferRequest:
    """Build the request as KServe's documentation does."""
    tensor = InferInput("pixels", [1, 64], "FP32")
    tensor.set_data_from_numpy(np.array([pixels], np.float32), binary_data=binary)
    return InferRequest(model_name=MODEL, infer_inputs=[tensor])


def labels(answer: Any) -> list[int]:
    """Return the label and the most probable class, which are the same."""
    outputs = {output.name: output.as_numpy() for output in answer.outputs}
    return [int(outputs["label"].ravel()[0]), int(outputs["probabilities"].argmax())]


if __name__ == "__main__":
    json.dump(asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))), sys.stdout)
