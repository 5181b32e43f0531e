"""What the protocol lets a caller ask of the server and its models, as the protocol's own messages."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TypeVar

from google.protobuf.message import Message
from service_runtime.deadlines import Deadline
from service_runtime.errors import DependencyUnavailable
from tritonclient.grpc import service_pb2 as oip

from gateway.catalog import ModelCatalog, TensorSpec
from gateway.refusals import NotOffered
from gateway.triton import InferenceServer, until_it_is_there

SERVER_NAME = "fairlead"
# True in both directions, as the conformance tests show: each of these works, and what works is here.
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository(index)",
    "parameters",
    "schedule_policy",
    "sequence",
    "statistics",
)

M = TypeVar("M", bound=Message)
Ready = Callable[[], Awaitable[bool]]


class Queries:
    """Answers every call of the protocol that is not an inference."""

    def __init__(self, catalog: ModelCatalog, server: InferenceServer, *, ready: Ready) -> None:
        self._catalog = catalog
        self._server = server
        self._ready = ready
        self._version = version("gateway")

    async def server_live(self, _request: oip.ServerLiveRequest, _deadline: Deadline) -> oip.ServerLiveResponse:
        """Say that this process answers."""
        return oip.ServerLiveResponse(live=True)

    async def server_ready(self, _request: oip.ServerReadyRequest, _deadline: Deadline) -> oip.ServerReadyResponse:
        """Say whether requests would be served now."""
        return oip.ServerReadyResponse(ready=await self._ready())

    async def server_metadata(
        self, _request: oip.ServerMetadataRequest, _deadline: Deadline
    ) -> oip.ServerMetadataResponse:
        """Name the server and the extensions that it serves."""
        return oip.ServerMetadataResponse(name=SERVER_NAME, version=self._version, extensions=EXTENSIONS)

    async def model_ready(self, request: oip.ModelReadyRequest, deadline: Deadline) -> oip.ModelReadyResponse:
        """Say whether the model would answer now."""
        try:
            model = await self._catalog.get(request.name, request.version, deadline=deadline)
        except DependencyUnavailable:
            return oip.ModelReadyResponse(ready=False)
        return oip.ModelReadyResponse(ready=model.ready)

    async def model_metadata(self, request: oip.ModelMetadataRequest, deadline: Deadline) -> oip.ModelMetadataResponse:
        """Describe the model's inputs and outputs."""
        model = await self._catalog.get(request.name, request.version, deadline=deadline)
        return oip.ModelMetadataResponse(
            name=model.name,
            versions=model.versions,
            platform=model.platform,
            inputs=[_metadata(spec) for spec in model.inputs],
            outputs=[_metadata(spec) for spec in model.outputs],
        )

    async def model_config(self, request: oip.ModelConfigRequest, deadline: Deadline) -> oip.ModelConfigResponse:
        """Return the model's configuration in Triton."""
        await self._catalog.get(request.name, request.version, deadline=deadline)
        return await self._call("ModelConfig", request, oip.ModelConfigResponse, deadline)

    async def model_statistics(
        self, request: oip.ModelStatisticsRequest, deadline: Deadline
    ) -> oip.ModelStatisticsResponse:
        """Return Triton's counters of one model, or of all when no name is given."""
        if request.name or request.version:
            await self._catalog.get(request.name, request.version, deadline=deadline)
        return await self._call("ModelStatistics", request, oip.ModelStatisticsResponse, deadline)

    async def repository_index(
        self, request: oip.RepositoryIndexRequest, deadline: Deadline
    ) -> oip.RepositoryIndexResponse:
        """List the models of the repository."""
        if request.repository_name:
            raise NotOffered("There is one repository; leave repository_name empty.")
        return await self._server.call("RepositoryIndex", request, oip.RepositoryIndexResponse, deadline=deadline)

    async def _call(
        self,
        rpc: str,
        request: oip.ModelConfigRequest | oip.ModelStatisticsRequest,
        response: type[M],
        deadline: Deadline,
    ) -> M:
        if not request.version:
            return await self._server.call(rpc, request, response, deadline=deadline)
        return await until_it_is_there(lambda: self._server.call(rpc, request, response, deadline=deadline))


def _metadata(spec: TensorSpec) -> oip.ModelMetadataResponse.TensorMetadata:
    return oip.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)
