"""What the settings of every service have in common."""

import sys
from typing import Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = float

_BAD_SETTINGS = 2


class ServiceSettings(BaseSettings):
    """Settings of a service, read once from the environment; subclasses set the prefix."""

    model_config = SettingsConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` is console on a terminal and JSON elsewhere."""

    otlp_endpoint: str = ""
    """OTLP gRPC endpoint for traces, as in `http://127.0.0.1:4317`; empty: no spans leave."""

    operations_host: str = "127.0.0.1"
    """Address that the operations port binds."""

    operations_port: int = Field(default=9090, ge=0, le=65535)
    """Port of /livez, /readyz, /metrics, /buildz and /configz; 0: any free one."""

    drain_delay: Seconds = Field(default=0.0, ge=0)
    """Seconds to keep serving after SIGTERM while load balancers learn of it."""

    grace: Seconds = Field(default=10.0, ge=0)
    """Seconds that requests in flight have to finish."""

    git_commit: str = "unknown"
    """Commit that this build was made from, shown by /buildz."""

    @classmethod
    def read(cls) -> Self:
        """Read the environment; a value that cannot be used ends the process with a line that names its variable."""
        try:
            return cls()
        except ValidationError as error:
            prefix = cls.model_config["env_prefix"]
            for each in error.errors(include_url=False):
                variable = f"{prefix}{'_'.join(map(str, each['loc']))}".upper()
                print(f"{variable}: {each['msg']}. It is {each['input']!r}.", file=sys.stderr)
            sys.exit(_BAD_SETTINGS)


class GrpcServiceSettings(ServiceSettings):
    """Settings of a service that serves gRPC itself."""

    reflection: bool = True
    """Serve gRPC reflection."""
