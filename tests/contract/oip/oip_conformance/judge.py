"""Vectors, and what is wrong with a server's reply to one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from oip_conformance.queries import ask_grpc, ask_rest, send_body
from oip_conformance.target import Output, Reply, Target
from oip_conformance.tensors import flatten, same
from oip_conformance.transports import TRANSPORTS, Vector, send

_VECTORS = Path(__file__).parent / "vectors"


def cases() -> Iterator[tuple[str, str, Vector]]:
    """Yield (name of the case, transport, vector) of everything that the kit knows."""
    for vector in _load("inference"):
        for transport in vector.get("transports", TRANSPORTS):
            yield f"{transport}: {vector['name']}", transport, vector
    for vector in _load("queries"):
        for transport in ("rest", "grpc"):
            if transport in vector:
                yield f"{transport}: {vector['name']}", transport, vector
    for vector in _load("bodies"):
        yield f"body: {vector['name']}", "body", vector


def judge(target: Target, transport: str, vector: Vector) -> str:
    """Return what is wrong with the target's reply; empty when it is as the vector says."""
    if transport == "rest":
        return _compare(ask_rest(target, vector), vector["expect"])
    if transport == "grpc":
        return _compare(ask_grpc(target, vector), vector["expect"])
    if transport == "body":
        return _compare(send_body(target, vector), vector["expect"])
    return _compare(send(transport, target, vector), vector["expect"])


def _compare(reply: Reply, expected: Mapping[str, Any]) -> str:
    if reply.code != expected.get("code", "OK"):
        return f"code {reply.code}, not {expected.get('code', 'OK')}: {reply.message}"
    if reply.code != "OK":
        if not reply.message:
            return "refused without a word"
        hint = expected.get("hint", "")
        return "" if hint in reply.message else f"nothing of {hint!r} in: {reply.message}"
    if "id" in expected and reply.id != expected["id"]:
        return f"id {reply.id!r}"
    if "answer" in expected and (wrong := _missing(expected["answer"], reply.answer)):
        return wrong
    return _compare_outputs(reply.outputs, expected["outputs"]) if "outputs" in expected else ""


def _compare_outputs(outputs: Mapping[str, Output], expected: Mapping[str, Any]) -> str:
    if outputs.keys() != expected.keys():
        return f"outputs {sorted(outputs)}, not {sorted(expected)}"
    for name, (datatype, shape, data) in expected.items():
        output = outputs[name]
        if output.datatype != datatype or output.shape != shape or not same(output.data, flatten(data)):
            return f"output {name} is {output}"
    return ""


def _missing(expected: Any, found: Any) -> str:
    """Return what of `expected` is not in `found`; lists must be equal in length."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return f"{found!r} is not an object"
        return next((wrong for key in expected if (wrong := _missing(expected[key], found.get(key)))), "")
    if isinstance(expected, list):
        if not isinstance(found, list) or len(found) < len(expected):
            return f"{found!r} is too short"
        return next(
            (f"no {each!r} in {found!r}" for each in expected if all(_missing(each, other) for other in found)), ""
        )
    return "" if expected == found else f"{found!r} is not {expected!r}"


def _load(name: str) -> list[Vector]:
    vectors: list[Vector] = yaml.safe_load((_VECTORS / f"{name}.yaml").read_text())
    return vectors
