"""Settings of the inference service."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from service_runtime.settings import Seconds, ServiceSettings


class EnvironmentSettings(BaseSettings):
    """Where Triton comes from on a machine without NVIDIA's image."""

    model_config = SettingsConfigDict(
        env_prefix="INFERENCE_", frozen=True, use_attribute_docstrings=True, extra="ignore"
    )

    triton_environment: Path | None = None
    """Folder with Triton and its Python packages; unset: made on demand in the cache from `triton_requirements`."""

    triton_requirements: Path = Path("requirements/triton.txt")
    """Hash-pinned requirement file that `triton_environment` is made from."""

    cache: Path = Path("~/.cache/fairlead")
    """Folder that environments made on demand are kept in."""


class Settings(EnvironmentSettings, ServiceSettings):
    """Settings, read from INFERENCE_* variables."""

    model_config = SettingsConfigDict(env_prefix="INFERENCE_", frozen=True, use_attribute_docstrings=True)

    operations_port: int = Field(default=9093, ge=0, le=65535)
    """Port of /livez, /readyz, /metrics, /buildz and /configz; 0: any free one."""

    pins: str = ""
    """What to serve, required: `model@sha256:<64 hex digits>`, comma-separated."""

    models: Path = Path("models")
    """Folder of model packages, `<model>/{model.yaml,releases,blobs}`."""

    work: Path | None = None
    """Folder for the generated model repository; unset: the system's temporary folder."""

    backend: Literal["python-onnxruntime", "onnxruntime"] = "python-onnxruntime"
    """`python-onnxruntime`: our program in Triton's Python backend, on CPU; `onnxruntime` needs NVIDIA's image."""

    tritonserver: Path = Path("/opt/tritonserver/bin/tritonserver")
    """Triton's program for backend `onnxruntime`; the other backend takes it from `triton_environment`."""

    triton_host: str = "127.0.0.1"
    """Address that Triton's gRPC and metrics ports bind."""

    triton_grpc_port: int = Field(default=8001, ge=0, le=65535)
    """Port of Triton's gRPC; 0: any free one."""

    triton_metrics_port: int = Field(default=8002, ge=0, le=65535)
    """Port of Triton's Prometheus metrics; 0: any free one."""

    triton_http: bool = True
    """Serve Triton's HTTP, on the loopback address only: some small requests end its process."""

    triton_http_port: int = Field(default=8000, ge=0, le=65535)
    """Port of Triton's HTTP; 0: any free one."""

    instances: int = Field(default=1, ge=1)
    """Model instances per model: processes on CPU, streams per GPU."""

    gpu: bool = False
    """Place the instances on GPUs; needs backend `onnxruntime`."""

    start_timeout: Seconds = Field(default=60.0, gt=0)
    """Seconds that Triton has from its start until it is ready."""
