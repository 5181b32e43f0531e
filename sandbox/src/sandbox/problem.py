"""The one error that a person is meant to read."""


class Problem(Exception):
    """What went wrong, and what to type or do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\n  {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
