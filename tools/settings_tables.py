"""Writes the settings table of each service's README from its Settings class: settings_tables.py [SERVICE...]."""

import importlib
import json
import re
import sys
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from service_runtime.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("gateway", "preprocessing", "inference", "monitoring")
BEGIN, END = "<!-- settings: written by tools/settings_tables.py -->", "<!-- /settings -->"


def main() -> None:
    """Rewrite the tables in place."""
    for service in sys.argv[1:] or SERVICES:
        readme = ROOT / "services" / service / "README.md"
        readme.write_text(with_table(readme.read_text(), service))


def with_table(text: str, service: str) -> str:
    """Return `text` with the table between the two marks replaced."""
    if BEGIN not in text:
        sys.exit(f"services/{service}/README.md lacks the marks {BEGIN} and {END}")
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: table(service), text, flags=re.DOTALL)


def table(service: str) -> str:
    """Return the table of `service` between its marks."""
    settings: type[ServiceSettings] = importlib.import_module(f"{service}.settings").Settings
    prefix = settings.model_config["env_prefix"]
    rows = [
        f"| `{prefix}{name.upper()}` | {_default(field)} | {_prose(field.description)} |"
        for name, field in settings.model_fields.items()
    ]
    return "\n".join([BEGIN, "| variable | default | meaning |", "| --- | --- | --- |", *rows, END])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "unset"
    if value == "":
        return "empty"
    text = str(value) if isinstance(value, (str, Path)) else json.dumps(value, default=str)
    return f"`{text}`"


def _prose(description: str | None) -> str:
    if not description:
        raise ValueError("every setting has a docstring line")
    return " ".join(description.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
