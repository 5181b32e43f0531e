"""The settings of the monitoring service."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from service_runtime.settings import GrpcServiceSettings, Seconds

_GIB = 1024**3


class Settings(GrpcServiceSettings):
    """Read once from MONITORING_* environment variables."""

    model_config = SettingsConfigDict(env_prefix="MONITORING_")

    operations_port: int = Field(default=9092, ge=0, le=65535)
    """Port of /livez, /readyz, /metrics, /buildz and /configz; 0: any free one."""

    grpc_address: str = "127.0.0.1:9002"
    """Address and port of gRPC; port 0: any free one."""

    page_host: str = "127.0.0.1"
    """Address that the page binds."""

    page_port: int = Field(default=8081, ge=0, le=65535)
    """Port of the page and its JSON; 0: any free one."""

    database: Path = Path(".fairlead/monitoring/predictions.db")
    """SQLite file; its folder is made when missing. Put it on a disk of its own in production."""

    max_batch: int = Field(default=1000, ge=1, le=10_000)
    """Most predictions in one batch of RecordPredictions."""

    max_waiting_batches: int = Field(default=64, ge=1)
    """Most batches and feedbacks that wait for the disk; beyond it streams are not read."""

    commit_interval: Seconds = Field(default=0.2, ge=0, le=10)
    """Least seconds between two commits of small batches; the first after a pause, and feedback, go at once."""

    max_values: int = Field(default=4096, ge=1)
    """Most features, and most probabilities, of one prediction."""

    keep_days: float = Field(default=30.0, gt=0)
    """Days that predictions with their feedback, and the traffic history, are kept."""

    keep_orphans_days: float = Field(default=7.0, gt=0)
    """Days that feedback waits for a prediction that has not come."""

    max_rows: int = Field(default=5_000_000, ge=1)
    """Most predictions kept; the oldest go first."""

    max_bytes: int = Field(default=4 * _GIB, ge=1024**2)
    """Most bytes of the database that may be in use; the oldest predictions go first."""

    retention_interval: Seconds = Field(default=60.0, gt=0)
    """Seconds between two looks at age and size."""

    quality_window_hours: float = Field(default=24.0, gt=0)
    """Hours that the accuracy metrics look back."""

    quality_interval: Seconds = Field(default=15.0, gt=0)
    """Seconds between two computations of the accuracy metrics."""

    max_queries: int = Field(default=2, ge=1)
    """Most queries that read the database at a time."""

    max_queued_queries: int = Field(default=16, ge=0)
    """Most queries that wait for their turn; beyond it UNAVAILABLE at once."""

    query_timeout: Seconds = Field(default=10.0, gt=0)
    """Most seconds that one query may take, waiting included."""
