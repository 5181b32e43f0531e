"""What the catalog asks Triton, and what it knows without asking."""

from typing import NoReturn

import pytest
from gateway.catalog import TritonCatalog
from service_runtime.deadlines import Deadline
from service_runtime.errors import NotFound


class NeverAsked:
    async def infer(self, request: bytes, *, deadline: Deadline) -> NoReturn:
        raise AssertionError("Triton was asked for an inference")

    async def call(self, rpc: str, request: object, response: object, *, deadline: Deadline) -> NoReturn:
        raise AssertionError(f"Triton was asked {rpc}")


@pytest.mark.requirement("NATIVE-004")
@pytest.mark.parametrize(
    ("name", "version"),
    [("", ""), ("x" * 257, ""), ("digits", "one"), ("digits", "-1"), ("digits", "\N{ARABIC-INDIC DIGIT THREE}")],
)
async def test_what_cannot_be_a_model_is_not_found_without_asking(name: str, version: str) -> None:
    with pytest.raises(NotFound) as refused:
        await TritonCatalog(NeverAsked(), ttl=1).get(name, version, deadline=Deadline.after(5))
    assert len(refused.value.message) < 300
