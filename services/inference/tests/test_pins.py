"""What INFERENCE_PINS may hold."""

import pytest
from inference.pins import Pin
from service_runtime.process import StartError

DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_pins_name_a_model_and_a_digest_each() -> None:
    other = DIGEST.replace("0", "1")
    assert Pin.parse_all(f"digits@{DIGEST}, letters@{other}") == (Pin("digits", DIGEST), Pin("letters", other))


@pytest.mark.requirement("INFERENCE-003")
@pytest.mark.parametrize(
    "text",
    [
        "digits",
        "digits@latest",
        f"digits@{DIGEST[:-1]}",
        f"digits@{DIGEST.upper()}",
        f"../digits@{DIGEST}",
        f"digits@{DIGEST}@{DIGEST}",
    ],
)
def test_what_is_not_a_pin_is_refused_with_the_form_of_one(text: str) -> None:
    with pytest.raises(StartError, match=r"is not a pin. Write model@sha256:<64 hex digits>"):
        Pin.parse_all(text)


@pytest.mark.requirement("INFERENCE-003")
@pytest.mark.parametrize("text", ["", " , "])
def test_no_pin_at_all_is_refused(text: str) -> None:
    with pytest.raises(StartError, match=r"INFERENCE_PINS names no model. Set it to model@sha256:"):
        Pin.parse_all(text)


def test_a_model_pinned_twice_is_refused() -> None:
    with pytest.raises(StartError, match="pins 'digits' more than once"):
        Pin.parse_all(f"digits@{DIGEST},digits@{DIGEST}")
