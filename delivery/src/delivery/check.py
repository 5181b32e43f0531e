"""The whole check of a checkout: everything renders, is valid for the API server, and obeys the rules."""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from delivery.declarations import declared_services
from delivery.environments import Environment, environment_folders, render_environment
from delivery.findings import CannotCheck, Finding
from delivery.manifests import Manifest
from delivery.programs import KUBECONFORM, Toolbox
from delivery.rendering import DoesNotRender, Renderer
from delivery.rules import judge_app, judge_environment
from delivery.rules.releases import every_service_is_everywhere, releases_stand_alone, selectors_agree
from delivery.schemas import location, schemas

_SECONDS = 120


def check(root: Path, toolbox: Toolbox) -> list[Finding]:
    """Return everything that is wrong with the manifests of a checkout."""
    folders = environment_folders(root)
    if not folders:
        raise CannotCheck(f"{root} has no environment, as clusters/local: name a checkout of this repository.")
    renderer = Renderer.from_toolbox(toolbox)
    services = declared_services(root)
    environments: list[Environment] = []
    findings = list(_bases(root, renderer))
    for folder in folders:
        try:
            environments.append(render_environment(folder, renderer))
        except DoesNotRender as error:
            findings.append(Finding(f"clusters/{folder.name}", "renders", str(error)))
    malformed = set(invalid({f"clusters/{each.name}": each.objects for each in environments}, toolbox))
    findings.extend(malformed)
    for environment in environments:
        if any(each.where.startswith(f"clusters/{environment.name}:") for each in malformed):
            continue  # rules expect objects that the API server would take
        findings.extend(each for app in environment.apps.values() for each in judge_app(app, services))
        findings.extend(judge_environment(environment, services))
    findings.extend(every_service_is_everywhere(environments, services))
    findings.extend(releases_stand_alone(environments, root / "models"))
    findings.extend(selectors_agree(environments))
    return findings


def invalid(objects: Mapping[str, Iterable[Manifest]], toolbox: Toolbox) -> Iterator[Finding]:
    """Return what the API server would not accept, or would drop without a word; objects by where they come from."""
    command: list[str | Path] = [toolbox.program(KUBECONFORM), "-strict", "-output", "json"]
    command += ["-schema-location", location(schemas(toolbox))]
    with tempfile.TemporaryDirectory(prefix="fairlead-validate-") as scratch:
        files = {Path(scratch) / f"{number}.json": where for number, where in enumerate(objects)}
        for file, where in files.items():
            file.write_text("\n---\n".join(json.dumps(dict(each.content)) for each in objects[where]))
        done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=_SECONDS, check=False)
    try:
        rows = json.loads(done.stdout)["resources"] or []
    except (ValueError, KeyError) as error:
        raise CannotCheck(f"kubeconform failed: {done.stderr or done.stdout}") from error
    for row in rows:
        where = f"{files[Path(row['filename'])]}: {row['kind']} {row['name']}"
        yield Finding(where, "valid", _causes(row["msg"]))


def _causes(message: str) -> str:
    """Return where and why from kubeconform's one line, without the way there through nested schemas."""
    steps = [step.strip() for step in message.split(" - at ")[1:]]
    return "; ".join(step for step in steps if not step.endswith(" failed")) or message


def _bases(root: Path, renderer: Renderer) -> Iterator[Finding]:
    """Build what environments are made of, also where no environment uses it yet."""
    for tree in ("services", "platform"):
        for path in sorted((root / tree).rglob("kustomization.yaml")):
            if "kind: Kustomization\n" in path.read_text():
                try:
                    renderer.text(path.parent)
                except DoesNotRender as error:
                    yield Finding(str(path.parent.relative_to(root)), "renders", str(error))
