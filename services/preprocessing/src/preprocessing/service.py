"""The service between start and stop: what is built, in which order, and what is checked before ready."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fairlead.preprocessing.v1 import preprocessing_pb2, preprocessing_pb2_grpc
from service_runtime.admission import AdmissionGate
from service_runtime.grpc_server import GrpcServer
from service_runtime.process import Process

from preprocessing import golden
from preprocessing.feature_specs import digits_8x8
from preprocessing.grpc_api import PreprocessingServicer
from preprocessing.metrics import Metrics
from preprocessing.pictures import PictureLimits
from preprocessing.settings import Settings
from preprocessing.transform import Transformer, TransformLimits

_SERVICE = preprocessing_pb2.DESCRIPTOR.services_by_name["PreprocessingService"].full_name


@asynccontextmanager
async def serve(process: Process, settings: Settings) -> AsyncIterator[None]:
    """Serve until left; then stop accepting, finish what is in flight, close."""
    specs = (digits_8x8(),)
    for spec in specs:
        golden.verify(spec)
    process.build_info = lambda: {"feature_specs": {spec.name: spec.digest for spec in specs}}
    metrics = Metrics()
    gate = AdmissionGate(settings.max_in_flight, settings.max_queued)
    metrics.waiting.set_function(lambda: gate.queued)
    workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="decode")
    transformer = Transformer(specs, limits=_limits(settings), workers=workers)
    servicer = PreprocessingServicer(transformer, gate, metrics, timeout=settings.timeout)
    try:
        async with _grpc(process, settings, servicer, metrics):
            yield
    finally:
        # What still decodes has lost its caller; the process must not wait for it.
        workers.shutdown(wait=False, cancel_futures=True)


def _limits(settings: Settings) -> TransformLimits:
    return TransformLimits(
        picture=PictureLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
        max_images=settings.max_images,
        inline_pixels=settings.inline_pixels,
    )


def _grpc(process: Process, settings: Settings, servicer: PreprocessingServicer, metrics: Metrics) -> GrpcServer:
    server = GrpcServer(
        process,
        address=settings.grpc_address,
        grace=settings.grace,
        services=(_SERVICE,),
        reflected=settings.reflection,
        observe=metrics.observe,
        max_message_bytes=settings.max_message_bytes,
    )
    preprocessing_pb2_grpc.add_PreprocessingServiceServicer_to_server(servicer, server.server)
    return server
