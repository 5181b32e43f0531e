"""What the environment tells the sandbox, read in this one place, and where its files lie."""

import os
from dataclasses import dataclass
from pathlib import Path

from sandbox.problem import Problem

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "sandbox" / "tools"

HOST_IP = "10.245.0.1"
"""This machine, as the node and its pods see it."""
NODE_IP = "10.245.0.2"
"""The node, as this machine sees it: the API server, the registry and every NodePort."""
LINK_PREFIX = 30
POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
NODE_NAME = "sandbox"
API_PORT = 6443
REGISTRY_PORT = 5000
PROVIDERS = ("source", "kind")
_STATE_OF_A_USER = Path.home() / ".local" / "state" / "fairlead-sandbox"


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """How to run the sandbox."""

    provider: str = "source"
    """SANDBOX_PROVIDER: kind where Docker and kind are, source elsewhere."""
    state: Path = Path("/var/lib/fairlead-sandbox")
    """SANDBOX_STATE: everything that make cluster-down removes; with kind, ~/.local/state/fairlead-sandbox."""
    cache: Path = Path.home() / ".cache" / "fairlead" / "sandbox"
    """SANDBOX_CACHE: programs, root file systems and images, kept by content."""
    git_port: int = 3000
    """SANDBOX_GIT_PORT: where the git server listens on 10.245.0.1."""

    @classmethod
    def read(cls) -> "SandboxSettings":
        """Read the environment."""
        environment = os.environ  # noqa: TID251 - this module is that one place
        defaults = cls()
        provider = environment.get("SANDBOX_PROVIDER", defaults.provider)
        if provider not in PROVIDERS:
            raise Problem(f"SANDBOX_PROVIDER is {provider!r}.", f"Use one of: {', '.join(PROVIDERS)}")
        state = Path(environment.get("SANDBOX_STATE", defaults.state if provider == "source" else _STATE_OF_A_USER))
        cache = Path(environment.get("SANDBOX_CACHE", defaults.cache))
        return cls(
            provider,
            state.resolve(),
            cache.expanduser().resolve(),
            _port(environment.get("SANDBOX_GIT_PORT", str(defaults.git_port))),
        )

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl needs."""
        return self.state / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Links to kubectl, kustomize, argocd and the like."""
        return self.state / "bin"

    @property
    def ca(self) -> Path:
        """The certificate that callers of the door trust."""
        return self.state / "ca.pem"

    @property
    def keys(self) -> Path:
        """Private keys: of the certificate authority and of the issuer of tokens."""
        return self.state / "keys"

    @property
    def logs(self) -> Path:
        """What the node's own processes print."""
        return self.state / "logs"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise Problem(f"SANDBOX_GIT_PORT is {text!r}.", "Use a port number such as 3000.")
    return int(text)
