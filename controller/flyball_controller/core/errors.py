"""Who is at fault: the operator's policy or the data. Anything else that escapes the core is our bug."""

from __future__ import annotations


class PolicyError(ValueError):
    """A policy value that cannot be obeyed; `field` names it, `value` is what came."""

    def __init__(self, message: str, *, field: str, value: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


class CheckpointError(ValueError):
    """Stored bytes that are no state: corrupt, truncated or from a newer version."""
