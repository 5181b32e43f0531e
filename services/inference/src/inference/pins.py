"""Pins: which package of which model to serve, as in digits@sha256:<64 hex digits>."""

import re
from dataclasses import dataclass
from typing import Self

from service_runtime.process import StartError

_PIN = re.compile(r"(?P<model>[a-z0-9][a-z0-9_-]{0,62})@(?P<digest>sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One model and the digest of the package to serve."""

    model: str
    digest: str

    @classmethod
    def parse_all(cls, text: str) -> tuple[Self, ...]:
        """Read comma-separated pins; each model may be pinned once."""
        pins = tuple(cls._parse(part.strip()) for part in text.split(",") if part.strip())
        if not pins:
            raise StartError("INFERENCE_PINS names no model. Set it to model@sha256:<64 hex digits>, comma-separated.")
        models = [pin.model for pin in pins]
        for model in models:
            if models.count(model) > 1:
                raise StartError(f"INFERENCE_PINS pins '{model}' more than once. Keep one digest per model.")
        return pins

    @classmethod
    def _parse(cls, text: str) -> Self:
        match = _PIN.fullmatch(text)
        if match is None:
            raise StartError(
                f"INFERENCE_PINS holds '{text}', which is not a pin. "
                "Write model@sha256:<64 hex digits>, as in models/<model>/releases/*.yaml."
            )
        return cls(match["model"], match["digest"])
