"""What a release file says: the digests of images and models that an environment runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

_PINS = "INFERENCE_PINS="


@dataclass(frozen=True, slots=True)
class Release:
    """One service's release in one environment."""

    images: Mapping[str, str]
    """Digests by image; without the images that were never released."""
    models: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "Release":
        """Read a release file; an empty text has released nothing."""
        content = yaml.safe_load(text) or {}
        literals = [line for row in content.get("configMapGenerator", []) for line in row.get("literals", [])]
        pins = [pin for line in literals if line.startswith(_PINS) for pin in line.removeprefix(_PINS).split(",")]
        images = {each["name"]: each["digest"] for each in content.get("images", []) if "digest" in each}
        return cls(images, {model: digest for model, _, digest in (pin.partition("@") for pin in pins)})

    def has(self, service: str) -> bool:
        """Say whether the service itself was released, not only named."""
        return f"fairlead/{service}" in self.images

    @property
    def digests(self) -> Mapping[str, str]:
        """Everything that it pins."""
        return {**self.images, **{f"model {name}": digest for name, digest in self.models.items()}}


def short(digest: str) -> str:
    """Return a digest as it is told to people."""
    return digest.removeprefix("sha256:")[:12] or "nothing"
