"""GET /openapi.json is true: requests made from it are answered as it says, valid ones and broken ones."""

import httpx2
import pytest
import schemathesis
from gateway.openapi.document import openapi_document
from hypothesis import HealthCheck, settings, strategies
from local_stack.settings import ROOT
from local_stack.stack import Stack
from schemathesis import Case, CheckContext, Response
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

PICTURE = (ROOT / "local_stack" / "src" / "local_stack" / "seven.png").read_bytes()

load_all_checks()
schemathesis.serializer.alias("image/bmp", "application/octet-stream")
schemathesis.openapi.media_type("image/png", strategies.just(PICTURE) | strategies.binary(max_size=256))


def never_an_internal_error(_context: CheckContext, response: Response, _case: Case) -> None:
    """503 and 504 are honest answers, to a deadline of one millisecond for instance; 500 never is."""
    assert response.status_code != 500, response.text


# Whether bytes are a picture and tensors fit a model is beyond a schema: what it calls valid may still be a 400.
CHECKS = [
    never_an_internal_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


schema = schemathesis.openapi.from_dict(openapi_document())


@pytest.mark.requirement("NATIVE-021")
def test_the_description_is_served(stack: Stack) -> None:
    assert httpx2.get(f"{stack.http_url}/openapi.json").json() == openapi_document()


@pytest.mark.requirement("NATIVE-021")
@schema.parametrize()  # type: ignore[untyped-decorator]  # schemathesis is not followed for types
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_described(stack: Stack, case: Case) -> None:
    case.call_and_validate(base_url=stack.http_url, checks=CHECKS)
