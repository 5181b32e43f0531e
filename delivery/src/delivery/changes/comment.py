"""Post a difference on its pull request: python -m delivery.changes.comment FILE ... --branch NAME --commit SHA.

The files were written by the code of the pull request, so they are text and nothing else: no number, name or command
is taken from them. Which pull request it is, GitHub says.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.commands import output_of
from sandbox.problem import Problem

from delivery.changes.markdown import LONGEST, fenced

_PLAIN = {code: None for code in (*range(32), 127) if chr(code) not in "\n\t"}


def main() -> int:
    """Write one comment, or write the one anew that is there; 1 when there is no such pull request."""
    parser = argparse.ArgumentParser(
        prog="python -m delivery.changes.comment", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--branch", required=True)
    parser.add_argument("--commit", required=True, help="what the files were made from")
    arguments = parser.parse_args()
    try:
        number = pull_request(arguments.branch, arguments.commit)
        options = ["--edit-last", "--create-if-none", "--body-file", "-"]
        output_of(["gh", "pr", "comment", str(number), *options], text=body(arguments.files, arguments.commit))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def pull_request(branch: str, commit: str) -> int:
    """Return the number of the open pull request whose last commit this is."""
    told = output_of(["gh", "pr", "list", "--state", "open", f"--head={branch}", "--json", "number,headRefOid"])
    numbers = [int(each["number"]) for each in json.loads(told) if each["headRefOid"] == commit]
    if not numbers:
        raise Problem(f"No open pull request ends with {commit}.", "It got another commit, whose own run will comment.")
    return numbers[0]


def body(files: Sequence[Path], commit: str) -> str:
    """Return the comment: the first file is what matters most, and the last is cut when all is too long."""
    found = [file.read_bytes()[: 4 * LONGEST] for file in files if file.is_file()]
    texts = [content.decode(errors="replace").translate(_PLAIN) for content in found]
    lines = "\n\n".join(text.strip("\n") for text in texts).splitlines()
    return f"What {commit[:12]} changes in the environments:\n\n{fenced(lines)}\n"


if __name__ == "__main__":
    sys.exit(main())
