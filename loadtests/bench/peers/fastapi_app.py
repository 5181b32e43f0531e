"""A plain FastAPI app in front of Triton, as one writes it in an hour: fastapi_app.py TRITON_GRPC_ADDRESS PORT."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import uvicorn
from digits_picture import row_of
from fastapi import FastAPI, Request
from numpy.typing import NDArray
from pydantic import BaseModel
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient


class Pixels(BaseModel):
    """One row of the model's input."""

    pixels: list[float]


class Answer(BaseModel):
    """What the model says."""

    label: int
    probabilities: list[float]


def create_app(triton_address: str) -> FastAPI:
    """Return the app; its client of Triton lives as long as it does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.triton = InferenceServerClient(triton_address)
        yield
        await app.state.triton.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/predict")
    async def predict(request: Request) -> Answer:
        return await _ask(app.state.triton, row_of(await request.body()))

    @app.post("/infer")
    async def infer(body: Pixels) -> Answer:
        return await _ask(app.state.triton, np.array([body.pixels], np.float32))

    return app


async def _ask(triton: InferenceServerClient, row: NDArray[np.float32]) -> Answer:
    pixels = InferInput("pixels", list(row.shape), "FP32")
    pixels.set_data_from_numpy(row)
    answer = await triton.infer("digits", [pixels])
    label, probabilities = answer.as_numpy("label"), answer.as_numpy("probabilities")
    return Answer(label=int(label.item()), probabilities=probabilities[0].tolist())


if __name__ == "__main__":
    uvicorn.run(
        create_app(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
