"""ModelStreamInfer: each message of a stream is answered as a call of its own, in the order of the stream."""

import asyncio
from collections.abc import AsyncIterator

from service_runtime.errors import ServiceError
from service_runtime.grpc_errors import Context
from tritonclient.grpc import service_pb2 as oip

from gateway.grpc_edge import GrpcEdge
from gateway.oip.inference import Inference, InferMessage
from gateway.oip.wire import join

Call = asyncio.Task[bytes]

# More messages of one stream than this wait in the transport: its flow control slows the sender.
_WINDOW = 32
_INFER_RESPONSE = 2 << 3 | 2
_FINAL = oip.ModelInferResponse(
    parameters={"triton_final_response": oip.InferParameter(bool_param=True)}
).SerializeToString()


class StreamInference:
    """Answers streams of inference requests."""

    def __init__(self, edge: GrpcEdge, inference: Inference) -> None:
        self._edge = edge
        self._inference = inference

    async def answers(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """Yield one answer for each message: the answer, or what was wrong with the message."""
        calls: asyncio.Queue[Call | None] = asyncio.Queue()
        window = asyncio.Semaphore(_WINDOW)
        running: set[Call] = set()
        reader = asyncio.create_task(self._read(messages, context, calls, window, running))
        try:
            while (call := await calls.get()) is not None:
                yield await call
                window.release()
            await reader
        finally:
            reader.cancel()
            for call in running:
                call.cancel()

    async def _read(
        self,
        messages: AsyncIterator[bytes],
        context: Context,
        calls: asyncio.Queue[Call | None],
        window: asyncio.Semaphore,
        running: set[Call],
    ) -> None:
        try:
            async for message in messages:
                await window.acquire()
                call = asyncio.create_task(self._answer(message, context, earlier=tuple(running)))
                running.add(call)
                call.add_done_callback(running.discard)
                calls.put_nowait(call)
        finally:
            calls.put_nowait(None)  # never waits: whoever left its stream reads no further

    async def _answer(self, serialized: bytes, context: Context, *, earlier: tuple[Call, ...]) -> bytes:
        request = oip.ModelInferRequest()
        try:
            message = InferMessage.parse(serialized)
            request = message.request
            if earlier and "sequence_id" in request.parameters:
                await asyncio.wait(earlier)  # Triton may start two unary calls in either order
            async with self._edge.admitted(context) as deadline:
                answer = await self._inference.infer_message(message, deadline=deadline)
        except ServiceError as error:
            failed = oip.ModelInferResponse(id=request.id)
            refused: bytes = oip.ModelStreamInferResponse(
                error_message=error.message, infer_response=failed
            ).SerializeToString()
            return refused
        return join(b"", _INFER_RESPONSE, (answer + _FINAL,))
