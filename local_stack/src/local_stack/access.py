"""How a door is entered: in plain text and by anybody, or by TLS and with a token."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

ARM_HEADER = "x-experiment-arm"


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller trusts and brings; nothing at all is the door of `make up`."""

    ca: Path | None = None
    token: str = ""
    arm: str = ""
    """The arm of an experiment to be in, where callers may choose; empty: the one that one is in."""

    def headers(self) -> dict[str, str]:
        """Return what every request carries; over gRPC the same is metadata."""
        carried = {"authorization": self.token and f"Bearer {self.token}", ARM_HEADER: self.arm}
        return {name: value for name, value in carried.items() if value}

    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Return the same for a gRPC call."""
        return tuple(self.headers().items())

    def context(self) -> ssl.SSLContext | None:
        """Return whom to trust over HTTPS; None in plain text."""
        return ssl.create_default_context(cafile=str(self.ca)) if self.ca else None

    def channel(self, address: str, options: Mapping[str, Any] | None = None) -> grpc.Channel:
        """Open a gRPC channel."""
        chosen = tuple((options or {}).items())
        if self.ca is None:
            return grpc.insecure_channel(address, options=chosen)
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(self.ca.read_bytes()), options=chosen)


OPEN = Access()
