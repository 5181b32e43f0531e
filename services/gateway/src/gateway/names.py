"""Names and versions of models, checked before anything is asked or remembered under them."""

from service_runtime.errors import NotFound

from gateway.refusals import shown

_LONGEST_NAME = 256
_LONGEST_VERSION = 18


def check_name(name: str, version: str) -> None:
    """Raise NotFound for what cannot be the name of a model, or a version of one."""
    if not name or len(name) > _LONGEST_NAME:
        raise NotFound(f"There is no model {shown(name)}.")
    if version and not (version.isascii() and version.isdecimal() and len(version) <= _LONGEST_VERSION):
        raise NotFound(f"Model {shown(name)} has no version {shown(version)}: versions are whole numbers.")
