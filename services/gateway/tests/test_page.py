"""The pages as files: named by content, cached for ever, under a strict policy."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from gateway.openapi.document import openapi_routes
from gateway.page.http_api import page_routes
from service_runtime.routed_app import RoutedApp


@pytest.fixture
async def browser() -> AsyncIterator[httpx2.AsyncClient]:
    app = RoutedApp([*page_routes(), *openapi_routes()], hint="")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway") as client:
        yield client


@pytest.mark.requirement("NATIVE-020")
@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_names_nothing_from_elsewhere(browser: httpx2.AsyncClient, path: str) -> None:
    page = await browser.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert re.findall(r"(?:src|href)=\"(?!/)", page.text) == []
    assert "<style" not in page.text
    assert re.findall(r"<script(?![^>]* src=)", page.text) == []


@pytest.mark.requirement("NATIVE-020")
@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_what_a_page_is_made_of_is_there_and_may_be_kept_for_ever(browser: httpx2.AsyncClient, path: str) -> None:
    page = await browser.get(path)
    parts = re.findall(r"\"(/assets/[^\"]+)\"", page.text)
    assert parts
    for part in parts:
        answer = await browser.get(part)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        for module in re.findall(r"from \"\./([^\"]+)\"", answer.text):
            assert (await browser.get(f"{part.rpartition('/')[0]}/{module}")).status_code == 200


@pytest.mark.requirement("NATIVE-020")
async def test_a_page_that_has_not_changed_is_not_sent_again(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/")
    assert page.headers["cache-control"] == "no-cache"
    again = await browser.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.requirement("NATIVE-020")
async def test_a_file_of_another_release_is_answered_but_not_kept(browser: httpx2.AsyncClient) -> None:
    """While a new version rolls out, its page may ask the old version for a file."""
    answer = await browser.get("/assets/0000000000000000/page.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.requirement("NATIVE-020")
@pytest.mark.parametrize("path", ["/", "/docs", "/assets/x/main.js"])
async def test_a_strict_policy_goes_with_every_file(browser: httpx2.AsyncClient, path: str) -> None:
    headers = (await browser.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.requirement("NATIVE-020")
@pytest.mark.parametrize("name", ["index.html", "nothing.js", "..%2Fhttp_api.py", "__init__.py"])
async def test_only_the_parts_of_pages_are_served(browser: httpx2.AsyncClient, name: str) -> None:
    assert (await browser.get(f"/assets/x/{name}")).status_code == 404


@pytest.mark.requirement("NATIVE-021")
async def test_every_reference_in_the_description_leads_somewhere(browser: httpx2.AsyncClient) -> None:
    answer = await browser.get("/openapi.json")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    references = set(re.findall(r"\"#/components/schemas/([^\"]+)\"", answer.text))
    assert references <= set(document["components"]["schemas"])
    operations = [item[method] for item in document["paths"].values() for method in item if method != "parameters"]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
