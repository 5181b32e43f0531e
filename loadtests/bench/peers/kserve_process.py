"""How the KServe peers start: with KServe's own flags, as its documentation says, or --tuned, as an expert would."""

import argparse
import asyncio
import logging
from collections.abc import Callable

import uvloop
from kserve import Model, ModelServer, model_server
from kserve.logging import KSERVE_LOGGER_NAME, KSERVE_TRACE_LOGGER_NAME

_QUIET = (KSERVE_LOGGER_NAME, KSERVE_TRACE_LOGGER_NAME, "uvicorn.access", "uvicorn.error")


def serve(build: Callable[[argparse.Namespace], Model]) -> None:
    """Serve the model that `build` makes of the command line, until told to stop."""
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_path", help="the ONNX graph, where the model is in this process")
    parser.add_argument("--tuned", action="store_true", help="uvloop for both protocols, no line per request")
    arguments = parser.parse_args()
    if arguments.tuned:
        _serve_tuned(build(arguments))
    else:
        ModelServer().start([build(arguments)])


def _serve_tuned(model: Model) -> None:
    # KServe runs REST and gRPC in one loop that it takes from the policy, after asking for the current one:
    # that of plain asyncio, whatever --event-loop says.
    uvloop.install()
    asyncio.set_event_loop(uvloop.new_event_loop())
    server = ModelServer(enable_latency_logging=False)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([model])
