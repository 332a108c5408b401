"""Who is at fault: the operator's policy or the data. Anything else that escapes the core is our bug."""

from __future__ import annotations

from flyball.errors import printable


class PolicyError(ValueError):
    """A policy value that cannot be obeyed; `field` names it, `value` is what came.

    `code`: what kind of mistake it is, a word that `flyball explain` knows.
    """

    def __init__(self, message: str, *, field: str, value: object = None, code: str = "wrong-value") -> None:
        super().__init__(printable(message))
        self.field = field
        self.value = value
        self.code = code


class CheckpointError(ValueError):
    """Stored bytes that are no state: corrupt, truncated or from a newer version."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))
