"""Binds tests/requirements/*.yaml and the tests to each other, in both directions."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FIELDS = {"id", "text", "source"}


@dataclass(frozen=True, slots=True)
class Requirement:
    id: str
    text: str
    source: str
    deferred: str = ""


def declared() -> list[Requirement]:
    fragments = sorted((ROOT / "tests" / "requirements").glob("*.yaml"))
    return [Requirement(**row) for fragment in fragments for row in yaml.safe_load(fragment.read_text())]


def claimed() -> dict[str, list[str]]:
    """Return which tests claim which id, read from the sources: a test that is skipped here still counts."""
    claims: dict[str, list[str]] = {}
    for path in sorted(ROOT.glob("**/tests/**/*.py")):
        if ".venv" not in path.parts:
            for name, line in marked_ids(ast.parse(path.read_text())):
                claims.setdefault(name, []).append(f"{path.relative_to(ROOT)}:{line}")
    return claims


def marked_ids(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "requirement":
            for argument in node.args:
                assert isinstance(argument, ast.Constant), f"line {node.lineno}: requirement ids are literals"
                yield str(argument.value), node.lineno


def test_every_requirement_has_one_id_and_one_sentence() -> None:
    counts = Counter(requirement.id for requirement in declared())
    assert [name for name, count in counts.items() if count > 1] == []
    unclear = [each.id for each in declared() if not each.text.rstrip().endswith(".") or not each.source]
    assert unclear == [], "each needs a sentence with a full stop, and its source"


def test_every_source_is_a_document_of_this_repository_and_one_of_its_headings() -> None:
    assert {each.id: each.source for each in declared() if not is_heading(*each.source.partition(", ")[::2])} == {}


def is_heading(document: str, heading: str) -> bool:
    path = ROOT / document
    lines = path.read_text().splitlines() if path.is_file() else []
    return bool(lines) and (not heading or f"## {heading}" in lines)


def test_every_requirement_is_tested_or_deferred_with_a_reason() -> None:
    claims = claimed()
    untested = [f"{each.id}: {each.text}" for each in declared() if not each.deferred and each.id not in claims]
    assert untested == []


def test_no_deferred_requirement_has_a_test() -> None:
    claims = claimed()
    assert [each.id for each in declared() if each.deferred and each.id in claims] == []


def test_every_claimed_requirement_is_declared() -> None:
    known = {each.id for each in declared()}
    assert {name: tests for name, tests in claimed().items() if name not in known} == {}
