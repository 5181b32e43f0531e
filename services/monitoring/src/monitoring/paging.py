"""Page tokens: where the next page starts, as text that callers hand back."""

import re

from service_runtime.errors import InvalidInput, Violation

Cursor = tuple[int, bytes]

# made_at and id of the last prediction on the page before.
_TOKEN = re.compile("[0-7][0-9a-f]{47}")


def token_of(cursor: Cursor | None) -> str:
    """Return the token of the next page; empty after the last one."""
    return f"{cursor[0]:016x}{cursor[1].hex()}" if cursor else ""


def cursor_of(token: str) -> Cursor | None:
    """Return where a page starts; None for the first one."""
    if not token:
        return None
    if not _TOKEN.fullmatch(token):
        problem = "is not one that this server gave"
        raise InvalidInput(f"page_token {problem}.", violations=(Violation("page_token", problem),))
    return int(token[:16], 16), bytes.fromhex(token[16:])
