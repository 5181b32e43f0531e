"""The drawing page in a real browser, in front of the real chain."""

import re
from typing import Any

import pytest
from local_stack.stack import Stack
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SEVEN = [(0.3, 0.22), (0.72, 0.22), (0.6, 0.45), (0.5, 0.65), (0.45, 0.85)]


def draw(page: Page, stroke: list[tuple[float, float]]) -> None:
    box = page.get_by_label("Drawing pad").bounding_box()
    assert box
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()


def touch(page: Page, stroke: list[tuple[float, float]]) -> None:
    """Draw with a finger: through the browser's own input pipeline, not by made-up events."""
    box = page.get_by_label("Drawing pad").bounding_box()
    assert box
    points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in stroke]
    session = page.context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [points[0]]})
    for point in points[1:]:
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.requirement("NATIVE-018", "NATIVE-022")
def test_a_drawn_digit_is_read_corrected_and_found_on_the_monitoring_page(
    stack: Stack, visitor: Any, screenshot: Any
) -> None:
    page = visitor.open(stack.http_url)
    draw(page, SEVEN)

    expect(page.locator("#label")).to_have_text("7")
    expect(page.locator("#confidence")).to_have_text(re.compile(r"^(> )?\d+\.\d %$"))
    expect(page.locator("#bars tr")).to_have_count(10)
    expect(page.locator("#digest")).to_have_text(re.compile(r"^sha256:[0-9a-f]{64}$"))
    expect(page.locator("#total-ms")).to_have_text(re.compile(r"^[\d.]+ ms$"))
    expect(page.locator("#p50")).to_have_text(re.compile(r"^[\d.]+ ms$"))
    prediction_id = page.locator("#prediction").inner_text()
    screenshot(page, "drawing-page-answer")

    page.get_by_role("button", name="It is 4").click()
    expect(page.locator("#thanks")).to_have_text("Thank you: noted as 4.")
    screenshot(page, "drawing-page-corrected")

    monitoring = visitor.open(stack.monitoring_url)
    mistake = monitoring.locator(f'[title*="{prediction_id}"]')
    expect(mistake).to_contain_text("7 → 4")
    expect(mistake.get_by_role("img")).to_have_attribute("aria-label", "What the model saw: predicted 7, right is 4")
    screenshot(monitoring, "monitoring-page-correction")
    assert visitor.problems == []


@pytest.mark.requirement("NATIVE-019")
def test_a_digit_is_drawn_read_and_corrected_by_keyboard_alone(stack: Stack, visitor: Any, screenshot: Any) -> None:
    page = visitor.open(stack.http_url)
    expect(page.locator("#pad")).to_have_accessible_description(re.compile("Space sets it down or lifts it"))

    keyboard = page.keyboard
    for _ in range(3):
        if page.evaluate("document.activeElement.id") != "pad":
            keyboard.press("Tab")
    expect(page.get_by_label("Drawing pad")).to_be_focused()
    for _ in range(2):
        keyboard.press("Shift+ArrowUp")
    keyboard.press("Space")
    expect(page.locator("#spoken")).to_have_text("Pen down")
    for _ in range(4):
        keyboard.press("Shift+ArrowDown")
    keyboard.press("Space")
    expect(page.locator("#label")).to_have_text("1")
    expect(page.locator("#spoken")).to_have_text(re.compile(r"^Read as 1, (> )?\d+\.\d % sure\.$"))
    screenshot(page, "drawing-page-keyboard")

    page.get_by_role("button", name="It is 1").focus()
    keyboard.press("Enter")
    expect(page.locator("#thanks")).to_have_text("Thank you: noted as 1.")

    page.get_by_label("Drawing pad").focus()
    keyboard.press("Escape")
    expect(page.locator("#invite")).to_be_visible()
    assert visitor.problems == []


@pytest.mark.requirement("NATIVE-018")
def test_a_finger_draws_on_a_phone_and_nothing_runs_out_of_the_screen(
    stack: Stack, visitor: Any, screenshot: Any
) -> None:
    page = visitor.open(
        stack.http_url, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    touch(page, SEVEN)
    expect(page.locator("#label")).to_have_text("7")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#seen").evaluate("(seen) => seen.getBoundingClientRect().right") <= 340
    assert page.evaluate("scrollY") == 0, "drawing must not scroll"
    screenshot(page, "drawing-page-phone")
    assert visitor.problems == []


@pytest.mark.requirement("NATIVE-018")
def test_undo_and_clear_take_back_what_was_drawn(stack: Stack, visitor: Any) -> None:
    page = visitor.open(stack.http_url)
    draw(page, SEVEN)
    draw(page, [(0.1, 0.95), (0.9, 0.95)])
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#label")).to_have_text("7")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("The answer appears here.")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


@pytest.mark.requirement("NATIVE-005", "NATIVE-018")
def test_a_file_is_read_and_one_that_is_no_picture_is_refused_kindly(
    stack: Stack, visitor: Any, screenshot: Any, pytestconfig: pytest.Config
) -> None:
    page = visitor.open(stack.http_url, color_scheme="dark")
    picture = pytestconfig.rootpath / "local_stack" / "src" / "local_stack" / "seven.png"
    page.get_by_label("Open a picture").set_input_files(picture)
    expect(page.locator("#label")).to_have_text("7")
    screenshot(page, "drawing-page-dark")

    words = {"name": "words.png", "mimeType": "image/png", "buffer": b"not a picture"}
    page.get_by_label("Open a picture").set_input_files(words)
    expect(page.get_by_role("alert")).to_contain_text("no PNG, JPEG, GIF, WebP or BMP picture")
    screenshot(page, "drawing-page-refused")


@pytest.mark.requirement("NATIVE-020", "NATIVE-021")
def test_the_pages_ask_this_gateway_alone_and_their_policy_forbids_anything_else(
    stack: Stack, visitor: Any, screenshot: Any
) -> None:
    page = visitor.open(stack.http_url)
    draw(page, SEVEN)
    expect(page.locator("#label")).to_have_text("7")
    docs = visitor.open(f"{stack.http_url}/docs")
    docs.get_by_text("/v1/models/{model}:predict").click()
    expect(docs.get_by_text("Predict one image")).to_be_visible()
    screenshot(docs, "api-page")
    assert visitor.requests
    assert {url.removeprefix(stack.http_url)[0] for url in visitor.requests} == {"/"}
    assert visitor.problems == []
    blocked = page.evaluate("fetch('http://127.0.0.2:1/').then(() => 'allowed', (error) => error.message)")
    assert blocked == "Failed to fetch"
    assert any("Content Security Policy" in problem for problem in visitor.problems)
