"""How an expert starts KServe's ModelServer: uvloop for both protocols, one worker, no line per request."""

import asyncio
import logging

import uvloop
from kserve import Model, ModelServer
from kserve.logging import KSERVE_LOGGER_NAME, KSERVE_TRACE_LOGGER_NAME
from kserve.predictor_config import PredictorConfig

_QUIET = (KSERVE_LOGGER_NAME, KSERVE_TRACE_LOGGER_NAME, "uvicorn.access", "uvicorn.error")


def serve(model: Model, *, http_port: int, grpc_port: int, predictor: PredictorConfig | None = None) -> None:
    """Serve one model until told to stop."""
    # KServe runs REST and gRPC in one loop that it takes from the policy, after asking for the current one.
    uvloop.install()
    asyncio.set_event_loop(uvloop.new_event_loop())
    server = ModelServer(
        http_port=http_port, grpc_port=grpc_port, workers=1, enable_latency_logging=False, predictor_config=predictor
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([model])
