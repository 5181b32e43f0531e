"""The use case: look the model up, check the request, let Triton answer, say which model package answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import DecodeError
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput
from tritonclient.grpc import service_pb2 as oip

from gateway.catalog import ModelCatalog, ServedModel
from gateway.oip.background import convert
from gateway.oip.parameters import shorten
from gateway.oip.typed_contents import answer_typed, is_typed, take_raw
from gateway.oip.validation import check_header, check_tensors
from gateway.oip.wire import RAW_INPUT_CONTENTS, RAW_OUTPUT_CONTENTS, Tensor, join, split
from gateway.refusals import refuse
from gateway.triton import InferenceServer, until_it_is_there


@dataclass(frozen=True, slots=True)
class InferMessage:
    """A serialized ModelInferRequest, with its header decoded and its raw tensors found."""

    serialized: bytes
    request: oip.ModelInferRequest
    tensors: Sequence[Tensor]

    @classmethod
    def parse(cls, serialized: bytes) -> "InferMessage":
        """Decode all but the tensors."""
        try:
            header, tensors = split(serialized, RAW_INPUT_CONTENTS)
            return cls(serialized, oip.ModelInferRequest.FromString(header), tensors)
        except (ValueError, DecodeError) as error:
            raise InvalidInput("The message is not a ModelInferRequest.") from error


class Inference:
    """Answers inference requests of the protocol, of whichever encoding."""

    def __init__(self, catalog: ModelCatalog, server: InferenceServer) -> None:
        self._catalog = catalog
        self._server = server

    async def model(self, name: str, version: str, *, deadline: Deadline) -> ServedModel:
        """Return the model, or raise NotFound."""
        return await self._catalog.get(name, version, deadline=deadline)

    async def infer_message(self, message: InferMessage, *, deadline: Deadline) -> bytes:
        """Answer raw with raw, unparsed, and typed with typed."""
        request, tensors = message.request, message.tensors
        model = await self.model(request.model_name, request.model_version, deadline=deadline)
        check_header(model, request)
        if not is_typed(request):
            await _check_tensors(model, request, tensors)
            return await self._forward(model, request, message.serialized, deadline)
        if tensors:
            raise refuse("raw_input_contents", "send typed contents or raw contents, not both")
        raw = await convert(len(message.serialized), take_raw, request)
        answer = await self.infer(model, request, raw, deadline=deadline)
        return await convert(len(answer), answer_typed, answer)

    async def infer(
        self, model: ServedModel, request: oip.ModelInferRequest, tensors: Sequence[Tensor], *, deadline: Deadline
    ) -> bytes:
        """Answer a request whose header was checked against the model; its tensors are beside it, raw."""
        await _check_tensors(model, request, tensors)
        serialized = join(request.SerializeToString(), RAW_INPUT_CONTENTS, tensors)
        return await self._forward(model, request, serialized, deadline)

    async def _forward(
        self, model: ServedModel, request: oip.ModelInferRequest, serialized: bytes, deadline: Deadline
    ) -> bytes:
        if request.parameters:
            deadline = shorten(deadline, request.parameters)
        answer = await self._answer(request.model_version, serialized, deadline)
        # A message begins with its first fields: so does every answer of the version that we expect.
        if not answer.startswith(_answer_head(model.name, model.version)):
            answered = oip.ModelInferResponse.FromString(split(answer, RAW_OUTPUT_CONTENTS)[0])
            model = await self._catalog.answering(answered.model_name, answered.model_version, deadline=deadline)
        return answer + _digest_parameter(model.digest) if model.digest else answer

    async def _answer(self, version: str, serialized: bytes, deadline: Deadline) -> bytes:
        if not version:
            return await self._server.infer(serialized, deadline=deadline)
        return await until_it_is_there(lambda: self._server.infer(serialized, deadline=deadline))


async def _check_tensors(model: ServedModel, request: oip.ModelInferRequest, tensors: Sequence[Tensor]) -> None:
    if any(spec.datatype == "BYTES" for spec in model.inputs):  # of these every element is looked at
        await convert(sum(map(len, tensors)), check_tensors, request, tensors)
    else:
        check_tensors(request, tensors)


@lru_cache(maxsize=256)
def _answer_head(name: str, version: str) -> bytes:
    head: bytes = oip.ModelInferResponse(model_name=name, model_version=version).SerializeToString()
    return head


@lru_cache(maxsize=256)
def _digest_parameter(digest: str) -> bytes:
    # Fields may be appended to a protobuf message: the answer itself stays as Triton wrote it.
    parameter = oip.InferParameter(string_param=digest)
    serialized: bytes = oip.ModelInferResponse(parameters={"model_digest": parameter}).SerializeToString()
    return serialized
