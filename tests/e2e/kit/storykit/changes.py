"""What stories change: each is a mistake or a step that a developer makes."""

import uuid
from pathlib import PurePosixPath

import yaml

from storykit.clone import Clone

_GATEWAY = "services/gateway/src/gateway"
_COMPONENTS = "services/inference/deploy/components"
_INFERENCE = "clusters/local/apps/inference/kustomization.yaml"
_DOOR = "clusters/local/apps/gateway/kustomization.yaml"
RELEASE = "clusters/local/apps/inference/release/kustomization.yaml"


def another_title(clone: Clone) -> str:
    """Change one line of the gateway, by which versions can be told apart, and return the new title."""
    title = f"Fairlead {uuid.uuid4().hex[:8]}"  # never built before
    clone.replace(f"{_GATEWAY}/openapi/document.py", '"title": "Fairlead"', f'"title": "{title}"')
    return title


def is_never_ready(clone: Clone) -> None:
    """Let the gateway ask wrongly whether inference is ready."""
    clone.replace(f"{_GATEWAY}/app.py", "parts.triton.check_ready)", 'lambda: parts.triton.check_ready("digits"))')


def ends_at_once(clone: Clone) -> None:
    """Let the gateway end before it serves."""
    clone.replace(f"{_GATEWAY}/__main__.py", "settings = Settings.read()", 'raise SystemExit("no settings today")')


def fails_a_fifth_of_its_calls(clone: Clone) -> None:
    """Let every fifth prediction of the gateway, by any protocol, end in an error of its own."""
    _before_inference(
        clone, "if random.random() < 0.2:  # noqa: S311\n                raise ServiceError(INTERNAL_MESSAGE)"
    )


def is_five_times_slower(clone: Clone) -> None:
    """Let every prediction of the gateway take five times as long as one does without haste."""
    _before_inference(clone, "await asyncio.sleep(0.1)")


def _before_inference(clone: Clone, does: str) -> None:
    begins = "        with client_span(method) as span:\n"
    asks = 'if method.endswith("/ModelInfer"):'
    clone.replace(f"{_GATEWAY}/upstream.py", begins, f"        {asks}\n            {does}\n{begins}")


def another_digest(clone: Clone) -> None:
    """Pin a model whose record names other bytes than there are."""
    before = pinned(clone)
    digest = f"sha256:{uuid.uuid4().hex * 2}"
    records = PurePosixPath("models/digits/releases")
    record = (clone.folder / records / f"{_short(before)}.yaml").read_text()
    (clone.folder / records / f"{_short(digest)}.yaml").write_text(record.replace(before, digest))
    clone.replace(RELEASE, before, digest)


def a_fault(clone: Clone, kind: str) -> None:
    """Let sidecars delay or abort inferences: the Components fault-delay and fault-abort."""
    clone.replace(_INFERENCE, "  - release\n", f"  - ../../../../{_COMPONENTS}/fault-{kind}\n  - release\n")


def is_blue_green(clone: Clone) -> None:
    """Let local deploy by blue/green, whose untried versions are reached by an arm."""
    clone.replace("clusters/local/env/kustomization.yaml", "components/steps-short", "components/blue-green")
    # This node has no room for a version that left, the one that serves and the next.
    clone.replace("platform/components/blue-green/patch-steps.yaml", "DelaySeconds: 600", "DelaySeconds: 10")
    preview = "../../../../services/gateway/deploy/components/preview"
    clone.replace(_DOOR, "  - release\n", f"  - {preview}\n  - release\n")


def a_treatment(clone: Clone) -> None:
    """Hold the next canary of inference, and let it answer the arm `treatment`."""
    _before_the_steps(clone, "platform/components/experiment")


def arms(clone: Clone, experiment: str, shares: str) -> None:
    """Put callers into the arms of an experiment."""
    _settings(clone, f"GATEWAY_EXPERIMENT={experiment}", f"GATEWAY_EXPERIMENT_ARMS={shares}")


def a_shadow(clone: Clone) -> None:
    """Hold the next canary of inference, and let it answer copies of what callers ask."""
    _settings(clone, "GATEWAY_SHADOW_ADDRESS=inference:8001")
    _before_the_steps(clone, f"{_COMPONENTS}/hold", f"{_COMPONENTS}/shadow")


def _settings(clone: Clone, *settings: str) -> None:
    first = "      - GATEWAY_LOG_LEVEL=debug\n"
    clone.replace(_DOOR, first, first + "".join(f"      - {each}\n" for each in settings))


def _before_the_steps(clone: Clone, *components: str) -> None:
    steps = "  - ../../env\n"  # which bring the steps that are there
    clone.replace(_INFERENCE, steps, steps + "".join(f"  - ../../../../{each}\n" for each in components))


def pinned(clone: Clone) -> str:
    """Return the digest of the model that local runs."""
    [settings] = yaml.safe_load((clone.folder / RELEASE).read_text())["configMapGenerator"]
    return str(settings["literals"][0]).partition("@")[2]


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
