"""The settings of the preprocessing service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from service_runtime.settings import GrpcServiceSettings, Seconds

_MIB = 1024**2


class Settings(GrpcServiceSettings):
    """Read once from PREPROCESSING_* environment variables."""

    model_config = SettingsConfigDict(env_prefix="PREPROCESSING_")

    operations_port: int = Field(default=9091, ge=0, le=65535)
    """Port of /livez, /readyz, /metrics, /buildz and /configz; 0: any free one."""

    grpc_address: str = "127.0.0.1:9001"
    """Address and port of gRPC; port 0: any free one."""

    max_image_bytes: int = Field(default=8 * _MIB, ge=1)
    """Most bytes of one encoded picture."""

    max_image_pixels: int = Field(default=16_000_000, ge=1)
    """Most pixels of one picture, by its header, before anything is decoded."""

    max_images: int = Field(default=64, ge=1)
    """Most pictures in one call."""

    max_message_bytes: int = Field(default=16 * _MIB, ge=1024)
    """Most bytes of one gRPC message."""

    inline_pixels: int = Field(default=400_000, ge=0)
    """Calls with fewer pixels are done in the event loop; a thread would cost more than it frees."""

    workers: int = Field(default=2, ge=1)
    """Threads that decode bigger pictures."""

    max_in_flight: int = Field(default=8, ge=1)
    """Most calls that are worked on at a time."""

    max_queued: int = Field(default=64, ge=0)
    """Most calls that wait for their turn; beyond it UNAVAILABLE at once."""

    timeout: Seconds = Field(default=5.0, gt=0)
    """Most seconds that one call may take; a caller's shorter deadline wins."""
