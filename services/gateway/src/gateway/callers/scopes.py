"""What a caller needs for which operation: one table for REST, by route, and gRPC, by method."""

from enum import StrEnum

_NATIVE = "/fairlead.gateway.v1.PredictionService"
_OIP = "/inference.GRPCInferenceService"
_HEALTH = "/grpc.health.v1.Health"


class Scope(StrEnum):
    """What a token can allow. None of them includes another."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    ADMIN = "admin"


OPEN = None
"""Asked of nobody: whether this server lives, and what its API looks like."""


def needed_scope(operation: str) -> Scope | None:
    """Return the scope that an operation needs; one that the table has forgotten is for administrators."""
    return NEEDED.get(operation, Scope.ADMIN)


NEEDED: dict[str, Scope | None] = {
    # Work, and what one must know of a model to ask for it.
    "/v1/models/{model}:predict": Scope.PREDICT,
    "/v1/models/{model}:batchPredict": Scope.PREDICT,
    "/v1/models": Scope.PREDICT,
    "/v1/models/{model}": Scope.PREDICT,
    f"{_NATIVE}/Predict": Scope.PREDICT,
    f"{_NATIVE}/BatchPredict": Scope.PREDICT,
    f"{_NATIVE}/PredictStream": Scope.PREDICT,
    f"{_NATIVE}/ListModels": Scope.PREDICT,
    f"{_NATIVE}/GetModel": Scope.PREDICT,
    "/v2/models/{model}/infer": Scope.PREDICT,
    "/v2/models/{model}/versions/{version}/infer": Scope.PREDICT,
    "/v2/models/{model}": Scope.PREDICT,
    "/v2/models/{model}/versions/{version}": Scope.PREDICT,
    "/v2/models/{model}/ready": Scope.PREDICT,
    "/v2/models/{model}/versions/{version}/ready": Scope.PREDICT,
    "/v2/models/{model}/config": Scope.PREDICT,
    "/v2/models/{model}/versions/{version}/config": Scope.PREDICT,
    f"{_OIP}/ModelInfer": Scope.PREDICT,
    f"{_OIP}/ModelStreamInfer": Scope.PREDICT,
    f"{_OIP}/ModelMetadata": Scope.PREDICT,
    f"{_OIP}/ModelReady": Scope.PREDICT,
    f"{_OIP}/ModelConfig": Scope.PREDICT,
    "/v1/predictions/{prediction_id}:feedback": Scope.FEEDBACK,
    f"{_NATIVE}/SendFeedback": Scope.FEEDBACK,
    # What tells of the traffic of others, or would change the server if it were offered.
    "/v1/stats": Scope.ADMIN,
    "/v2/models/stats": Scope.ADMIN,
    "/v2/models/{model}/stats": Scope.ADMIN,
    "/v2/models/{model}/versions/{version}/stats": Scope.ADMIN,
    "/v2/repository/index": Scope.ADMIN,
    "/v2/repository/models/{model}/load": Scope.ADMIN,
    "/v2/repository/models/{model}/unload": Scope.ADMIN,
    "/v2/systemsharedmemory/{path:path}": Scope.ADMIN,
    "/v2/cudasharedmemory/{path:path}": Scope.ADMIN,
    "/v2/trace/setting": Scope.ADMIN,
    "/v2/models/{model}/trace/setting": Scope.ADMIN,
    "/v2/logging": Scope.ADMIN,
    f"{_OIP}/ModelStatistics": Scope.ADMIN,
    f"{_OIP}/RepositoryIndex": Scope.ADMIN,
    f"{_OIP}/RepositoryModelLoad": Scope.ADMIN,
    f"{_OIP}/RepositoryModelUnload": Scope.ADMIN,
    f"{_OIP}/SystemSharedMemoryStatus": Scope.ADMIN,
    f"{_OIP}/SystemSharedMemoryRegister": Scope.ADMIN,
    f"{_OIP}/SystemSharedMemoryUnregister": Scope.ADMIN,
    f"{_OIP}/CudaSharedMemoryStatus": Scope.ADMIN,
    f"{_OIP}/CudaSharedMemoryRegister": Scope.ADMIN,
    f"{_OIP}/CudaSharedMemoryUnregister": Scope.ADMIN,
    f"{_OIP}/TraceSetting": Scope.ADMIN,
    f"{_OIP}/LogSettings": Scope.ADMIN,
    "/v2": OPEN,
    "/v2/health/live": OPEN,
    "/v2/health/ready": OPEN,
    f"{_OIP}/ServerMetadata": OPEN,
    f"{_OIP}/ServerLive": OPEN,
    f"{_OIP}/ServerReady": OPEN,
    f"{_HEALTH}/Check": OPEN,
    f"{_HEALTH}/Watch": OPEN,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": OPEN,
}
