"""What the description says of callers: which operation asks for which scope, and how those are refused who lack it."""

from typing import cast

from gateway.callers.scopes import OPEN, Scope, needed_scope
from gateway.openapi.operations import Document, problem_responses

_TOKEN = "token"  # noqa: S105 - the name of a security scheme


def security_schemes() -> Document:
    """Return the one way to say who one is."""
    description = "A JWT of the configured issuer. Where none is configured, as on a laptop, nobody is asked for one."
    return {_TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description}}


def guarded(paths: dict[str, Document]) -> dict[str, Document]:
    """Add to each operation the scope that it needs, and the refusals that follow from it."""
    return {path: _guarded_path(path, item) for path, item in paths.items()}


def _guarded_path(path: str, item: Document) -> Document:
    scope = needed_scope(path)
    if scope is OPEN:
        return item
    operations = {
        method: _guarded_operation(
            cast("Document", operation), scope, counted=method == "post" and scope != Scope.ADMIN
        )
        for method, operation in item.items()
        if method != "parameters"
    }
    return {**item, **operations}


def _guarded_operation(operation: Document, scope: Scope, *, counted: bool) -> Document:
    problems = ("401", "403", "429") if counted else ("401", "403")
    responses = cast("Document", operation["responses"]) | problem_responses(problems)
    # The empty one says that it may do without, where no issuer is configured.
    return {**operation, "security": [{_TOKEN: [scope]}, {}], "responses": dict(sorted(responses.items()))}
