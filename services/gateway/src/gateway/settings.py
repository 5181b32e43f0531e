"""The gateway's settings."""

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict
from service_runtime.settings import GrpcServiceSettings, Seconds

from gateway.callers.experiment import NAME, parse_arms


class Settings(GrpcServiceSettings):
    """Read from GATEWAY_* once, at start."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    http_host: str = "127.0.0.1"
    """Address of REST and the page."""

    http_port: int = Field(default=8080, ge=0, le=65535)
    """Port of REST and the page; 0: any free one."""

    grpc_address: str = "127.0.0.1:9000"
    """Address and port of gRPC."""

    inference_address: str = "127.0.0.1:8001"
    """Host and port of Triton's gRPC."""

    preprocessing_address: str = "127.0.0.1:9001"
    """Host and port of the preprocessing service."""

    monitoring_address: str = "127.0.0.1:9002"
    """Host and port of the monitoring service."""

    default_timeout: Seconds = Field(default=5.0, gt=0)
    """Seconds that a request may take when its caller gives no deadline."""

    max_timeout: Seconds = Field(default=60.0, gt=0)
    """Longest deadline that a caller may ask for, in seconds."""

    max_body_bytes: int = Field(default=8 << 20, gt=0)
    """Largest request, after decompression, over REST and gRPC."""

    max_buffered_bytes: int = Field(default=256 << 20, gt=0)
    """Most bytes of REST bodies that are held at a time, waiting ones included; beyond it 503 at once."""

    max_json_bytes: int = Field(default=4 << 20, gt=0)
    """Largest JSON of an Open Inference Protocol request; binary tensors after it do not count."""

    max_batch_images: int = Field(default=64, gt=0)
    """Most images in one batch prediction."""

    max_in_flight: int = Field(default=16, gt=0)
    """Requests that are worked on at a time."""

    max_queued: int = Field(default=32, ge=0)
    """Requests that wait for their turn; one more is answered 503 at once."""

    catalog_ttl: Seconds = Field(default=2.0, gt=0)
    """Seconds for which a model's description is remembered."""

    record_buffer: int = Field(default=4096, gt=0)
    """Predictions kept for monitoring while it is away; more are dropped and counted."""

    access_log: bool = False
    """Log one line for every request, not only for those that failed."""

    issuer: str = ""
    """Issuer (`iss`) of the tokens that callers must bring; empty: anybody may call."""

    audience: str = Field(default="fairlead", min_length=1)
    """Audience (`aud`) that tokens must be for."""

    jwks: str = Field(default="", validate_default=True)
    """The issuer's public keys (JWKS): a URL or a file; needed with an issuer."""

    quota_per_second: float = Field(default=0.0, ge=0)
    """Requests for work that one caller may make each second over time, in each gateway process; 0: no quota."""

    quota_burst: int = Field(default=20, gt=0)
    """Requests for work that one caller may make at once."""

    caller_header: str = Field(default="", pattern="^[a-z0-9-]*$")
    """Header that names callers without a token, where a proxy in front sets it; empty: their address names them."""

    experiment: str = ""
    """Name of the running experiment, whose arms callers are assigned to; empty: none runs."""

    experiment_arms: str = Field(default="", validate_default=True)
    """Arms and their weights, as in `control=90,treatment=10`; needed with an experiment."""

    experiment_override: bool = False
    """Let callers choose a declared arm by the header `x-experiment-arm`."""

    shadow_address: str = ""
    """Host and port of the shadow's gRPC, which is asked what callers have asked; empty: there is none."""

    shadow_share: float = Field(default=1.0, ge=0, le=1)
    """Share of the answered requests of which the shadow gets a copy."""

    shadow_buffer: int = Field(default=64, gt=0)
    """Copies that wait for the shadow; more are dropped and counted."""

    shadow_timeout: Seconds = Field(default=1.0, gt=0)
    """Seconds that the shadow has for an answer."""

    shadow_tolerance: float = Field(default=0.001, ge=0)
    """Difference, absolute or relative, up to which two floats of stable's and the shadow's answers count as equal."""

    revision: str = Field(default="", pattern="^[A-Za-z0-9._-]{0,63}$")
    """What answers and records name as their revision; empty: the git commit."""

    @property
    def answering_revision(self) -> str:
        """The revision that answers name."""
        return self.revision or self.git_commit

    @field_validator("jwks")
    @classmethod
    def _issuer_has_keys(cls, jwks: str, info: ValidationInfo) -> str:
        if info.data.get("issuer") and not jwks:
            raise ValueError("an issuer's tokens can be checked only with its keys: give their URL or file")
        return jwks

    @field_validator("experiment")
    @classmethod
    def _experiment_is_a_name(cls, experiment: str) -> str:
        if experiment and not NAME.fullmatch(experiment):
            raise ValueError("use lower case, digits and dashes, at most 40")
        return experiment

    @field_validator("experiment_arms")
    @classmethod
    def _experiment_has_arms(cls, arms: str, info: ValidationInfo) -> str:
        if info.data.get("experiment"):
            parse_arms(arms)
        return arms
