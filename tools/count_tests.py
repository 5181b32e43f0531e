"""Prints one line that counts the tests of a JUnit file: count_tests.py FILE."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def main() -> None:
    """Count passed, failed and skipped tests; a missing file is no test."""
    path = Path(sys.argv[1])
    suites = list(ET.parse(path).getroot().iter("testsuite")) if path.exists() else []  # noqa: S314 - written by pytest
    total, failures, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main()
