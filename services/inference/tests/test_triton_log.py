"""How Triton's lines become ours."""

import pytest
from inference.triton_log import Severity, read_line


@pytest.mark.parametrize(
    ("line", "severity", "text"),
    [
        ('I1121 13:55:49.377338 21999 server.cc:676] "Started"', Severity.DEBUG, "Started"),
        ('W1121 13:55:49.377338 21999 x.cc:1] "Slow"', Severity.WARNING, "Slow"),
        ('E1121 13:55:49.377338 21999 model.cc:64] "failed to load"', Severity.ERROR, "failed to load"),
        ("error: creating server: Internal", Severity.ERROR, "error: creating server: Internal"),
        ("+----+----+", Severity.DEBUG, "+----+----+"),
        ("", Severity.DEBUG, ""),
    ],
)
def test_a_line_of_triton_keeps_its_severity_and_text(line: str, severity: Severity, text: str) -> None:
    entry = read_line(line)
    assert (entry.severity, entry.text) == (severity, text)


def test_what_every_machine_without_a_gpu_says_is_no_error() -> None:
    line = 'E1121 13:56:59.286420 22467 server.cc:241] "CudaDriverHelper has not been initialized."'
    assert read_line(line).severity == Severity.DEBUG
