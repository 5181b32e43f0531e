"""How a request is refused: one field, one sentence, never more of the caller's text than fits an error."""

from grpc import StatusCode
from service_runtime.errors import InvalidInput, ServiceError, Violation

_SHOWN = 64


class NotOffered(ServiceError):
    """A call of the protocol that this gateway does not serve."""

    code = StatusCode.UNIMPLEMENTED


def refuse(field: str, description: str) -> InvalidInput:
    """Return the error for one wrong field."""
    return InvalidInput(f"{field}: {description}", violations=(Violation(field, description),))


def shown(value: object) -> str:
    """Return the caller's value as an error may repeat it: quoted, escaped, cut."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
