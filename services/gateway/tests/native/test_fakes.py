"""One contract for the neighbours: the fakes of these tests and the real services keep it alike."""

from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from gateway.catalog import ModelCatalog, ServedModel
from gateway.metrics import UpstreamMetrics
from gateway.native.tensors import encode_request, read_answer
from gateway.preprocessing import PreprocessingClient, Preprocessor
from gateway.triton import InferenceServer, Triton
from gateway.triton_catalog import TritonCatalog
from gateway.upstream import Upstream
from gateway_kit.fakes import FakeCatalog, FakeInference, FakePreprocessor
from local_stack.settings import ROOT
from local_stack.stack import Stack
from prometheus_client import CollectorRegistry
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, NotFound
from tritonclient.grpc.service_pb2 import ModelInferResponse

PICTURE = (ROOT / "local_stack" / "src" / "local_stack" / "seven.png").read_bytes()
MESSAGE_BYTES = 1 << 20

pytestmark = pytest.mark.requirement("NATIVE-023")


@dataclass
class Neighbours:
    catalog: ModelCatalog
    preprocessor: Preprocessor
    inference: InferenceServer

    async def model(self) -> ServedModel:
        return await self.catalog.get("digits", deadline=soon())


def soon() -> Deadline:
    return Deadline.after(5)


class Contract:
    async def test_digits_declares_what_the_native_api_needs(self, neighbours: Neighbours) -> None:
        model = await neighbours.model()
        assert (model.name, model.feature_spec) == ("digits", "digits-8x8")
        assert model.version in model.versions
        assert model.ready
        assert model.labels == tuple("0123456789")
        assert model.digest.startswith("sha256:")
        assert model.feature_spec_digest.startswith("sha256:")
        assert [(tensor.name, tensor.datatype) for tensor in model.inputs] == [("pixels", "FP32")]
        assert {tensor.name for tensor in model.outputs} == {"label", "probabilities"}
        assert model in await neighbours.catalog.list(deadline=soon())

    async def test_a_model_that_is_not_there_is_not_found(self, neighbours: Neighbours) -> None:
        with pytest.raises(NotFound):
            await neighbours.catalog.get("letters", deadline=soon())

    async def test_pictures_become_one_row_each(self, neighbours: Neighbours) -> None:
        model = await neighbours.model()
        tensor = await neighbours.preprocessor.transform(
            [PICTURE, PICTURE], feature_spec=model.feature_spec, digest=model.feature_spec_digest, deadline=soon()
        )
        assert (tensor.datatype, list(tensor.shape)) == ("FP32", [2, 64])
        assert len(tensor.tensor) == 2 * 64 * 4
        assert tensor.feature_spec_digest == model.feature_spec_digest

    async def test_a_picture_that_cannot_be_read_is_named(self, neighbours: Neighbours) -> None:
        model = await neighbours.model()
        with pytest.raises(InvalidInput) as error:
            await neighbours.preprocessor.transform(
                [PICTURE, b"not a picture"],
                feature_spec=model.feature_spec,
                digest=model.feature_spec_digest,
                deadline=soon(),
            )
        assert [violation.field for violation in error.value.violations] == ["images[1]"]
        assert error.value.message.startswith("images[1]: ")

    async def test_rows_become_labels_and_probabilities(self, neighbours: Neighbours) -> None:
        model = await neighbours.model()
        tensor = await neighbours.preprocessor.transform(
            [PICTURE, PICTURE], feature_spec=model.feature_spec, digest=model.feature_spec_digest, deadline=soon()
        )
        tensor.tensor = array("f", [5.0] * 128).tobytes()
        raw = await neighbours.inference.infer(encode_request(model, tensor), deadline=soon())
        response = ModelInferResponse.FromString(raw)
        assert response.model_version == model.version
        answer = read_answer(response, model, count=2)
        assert answer.classes[0] == answer.classes[1]
        for row in answer.probabilities:
            assert len(row) == 10
            assert sum(row) == pytest.approx(1, abs=1e-5)
            assert row.index(max(row)) == answer.classes[0]


class TestTheFakesKeepIt(Contract):
    @pytest.fixture
    def neighbours(self) -> Neighbours:
        return Neighbours(FakeCatalog(), FakePreprocessor(), FakeInference())


class TestTheRealServicesKeepIt(Contract):
    @pytest.fixture
    async def neighbours(self, stack: Stack) -> AsyncIterator[Neighbours]:
        metrics = UpstreamMetrics(CollectorRegistry())
        async with AsyncExitStack() as closing:

            def upstream(name: str, address: str) -> Upstream:
                opened = Upstream(name, address, max_message_bytes=MESSAGE_BYTES, metrics=metrics)
                closing.push_async_callback(opened.aclose)
                return opened

            triton = Triton(upstream("inference", stack.triton_grpc_address))
            imaging = upstream("preprocessing", f"127.0.0.1:{stack.ports['preprocessing']['grpc']}")
            yield Neighbours(TritonCatalog(triton, ttl=1), PreprocessingClient(imaging), triton)
