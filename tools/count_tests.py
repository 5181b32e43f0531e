"""Prints one line that counts the tests of JUnit files together: count_tests.py FILE ..."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def main() -> None:
    """Count passed, failed and skipped tests; a missing file is no test."""
    files = [path for path in map(Path, sys.argv[1:]) if path.exists()]
    suites = [suite for path in files for suite in ET.parse(path).getroot().iter("testsuite")]  # noqa: S314 - written by pytest
    total, failures, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main()
