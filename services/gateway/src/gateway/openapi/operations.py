"""What the descriptions of all operations are put together from."""

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

JSON = "application/json"
OCTETS = "application/octet-stream"

Document = dict[str, object]

_PROBLEM = "application/problem+json"
_REF = "#/components/schemas/{model}"
_PROBLEMS = {
    "400": "The request is wrong; violations name what",
    "401": "No token, or one that is not valid here; see WWW-Authenticate",
    "403": "The token lacks the scope that WWW-Authenticate names",
    "404": "No such model, or one that does not take this",
    "413": "Over a limit, which the detail names",
    "415": "A media type or encoding that is not taken here",
    "429": "This caller's quota is used up; see Retry-After",
    "500": "A fault on our side",
    "503": "Overloaded, draining or a dependency is away; see Retry-After",
    "504": "The deadline passed; the detail names the stage",
}
_OF_CALLERS = {"401", "403", "429"}
PROBLEMS = tuple(status for status in _PROBLEMS if status not in _OF_CALLERS)
"""What any operation may answer, whoever calls."""


def operation(
    tag: str,
    operation_id: str,
    summary: str,
    *,
    answers: dict[str, Document],
    problems: tuple[str, ...],
    description: str = "",
    body: Document | None = None,
) -> Document:
    """Return an operation that answers 200 with `answers` by media type."""
    responses: Document = {"200": {"description": "Done", "content": answers}}
    responses |= problem_responses(problems)
    described: Document = {
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "tags": [tag],
        "responses": responses,
    }
    if body is not None:
        described["requestBody"] = body
    return described


def problem_responses(problems: tuple[str, ...]) -> Document:
    """Return the responses that are problems, by status."""
    content: Document = {_PROBLEM: {"schema": named("Problem")}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in problems}


def json_of(model: type[BaseModel]) -> dict[str, Document]:
    """Return the content of an answer or body that is this model's JSON."""
    return {JSON: {"schema": named(model.__name__)}}


def named(schema: str) -> Document:
    """Return a reference to a component schema."""
    return {"$ref": _REF.format(model=schema)}


def schemas(models: list[type[BaseModel]]) -> Document:
    """Return the component schemas of these models and of what they hold."""
    _, document = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    return dict(document["$defs"])


def path_parameter(name: str, schema: Document, *, description: str = "") -> Document:
    """Return a parameter that stands in the path."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def timeout_header() -> Document:
    """Return the header by which callers of every operation bound the work done for them."""
    return {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "required": False,
        "description": "How long the caller waits; no work is done for longer than that.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 3_600_000},
    }


MODEL = {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "minLength": 1, "maxLength": 256, "examples": ["digits"]}
"""The schema of a model's name."""
