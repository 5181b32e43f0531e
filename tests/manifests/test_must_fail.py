"""One folder of must_fail/ per mistake: each is refused, by the rule it names, with words that help."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from delivery.check import invalid
from delivery.declarations import Declaration
from delivery.environments import Environment
from delivery.findings import Finding
from delivery.manifests import Manifest
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from delivery.rules import judge_app, judge_environment

pytestmark = pytest.mark.xdist_group("manifests")

FOLDER = Path(__file__).parent / "must_fail"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/kustomization.yaml"))
RULES = Path(__file__).parents[2] / "delivery" / "src" / "delivery" / "rules"


@dataclass(frozen=True, slots=True)
class Mistake:
    environment: str
    part: str
    rules: frozenset[str]
    because: str
    objects: tuple[Manifest, ...]


@pytest.fixture(scope="session")
def mistakes(renderer: Renderer) -> Mapping[str, Mistake]:
    return {name: read(FOLDER / name, renderer) for name in NAMES}


def read(folder: Path, renderer: Renderer) -> Mistake:
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())["metadata"]["annotations"]
    environment, _, part = said["in-place-of"].partition("/")
    rules = frozenset(said["refused-by"].split(", "))
    return Mistake(environment, part, rules, said["because"], tuple(renderer.objects(folder)))


@pytest.fixture(scope="session")
def schema_findings(mistakes: Mapping[str, Mistake], toolbox: Toolbox) -> list[Finding]:
    """All of them at once: kubeconform reads its schemas only once."""
    return list(invalid({f"[{name}]": mistake.objects for name, mistake in mistakes.items()}, toolbox))


@pytest.mark.requirement("MANIFESTS-002")
@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_refused_by_its_rule_and_no_other(
    name: str,
    mistakes: Mapping[str, Mistake],
    schema_findings: list[Finding],
    environments: Mapping[str, Environment],
    services: Mapping[str, Declaration],
) -> None:
    mistake = mistakes[name]
    found = judged(mistake, environments[mistake.environment], services)
    found += [each for each in schema_findings if each.where.startswith(f"[{name}]")]
    assert {each.rule for each in found} == mistake.rules, found
    assert any(mistake.because in each.says for each in found), found


def judged(mistake: Mistake, environment: Environment, services: Mapping[str, Declaration]) -> list[Finding]:
    if mistake.part in services:
        return judge_app(replace(environment.apps[mistake.part], objects=mistake.objects), services)
    if mistake.part == "namespaces":
        return judge_environment(replace(environment, namespaces=mistake.objects), services)
    return judge_environment(replace(environment, argocd=mistake.objects), services)


@pytest.mark.parametrize("rule", sorted(path.stem for path in RULES.glob("*.py") if path.stem[0] != "_"))
def test_every_rule_has_a_mistake_that_it_refuses(rule: str, mistakes: Mapping[str, Mistake]) -> None:
    """A rule that refuses nothing protects nothing."""
    module = __import__(f"delivery.rules.{rule}", fromlist=["_"])
    rules = [each for name, each in vars(module).items() if name.isupper() and isinstance(each, tuple)]
    names = {each.__name__.replace("_", "-") for group in rules for each in group if callable(each)}
    refused = {name for mistake in mistakes.values() for name in mistake.rules}
    assert names - refused == set()
