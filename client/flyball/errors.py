"""What the client raises, and whose fault it says it is.

Every error carries its facts in attributes, so that no caller parses text. The
errors of the user's own function are never wrapped (K8): only what flyball
itself decided is raised from here. Nothing else of the package is imported.
"""

from __future__ import annotations

# Longer messages are data, not messages.
MESSAGE_CHARS_MAX = 4_000


def printable(text: str) -> str:
    r"""Return a message that steers no terminal and no log: controls spelled out, the middle cut.

    Line ends stay, for messages of several lines. Messages repeat keys and values of
    files, and what an escape sequence in a key does is the terminal's choice.

    >>> printable("key 'a\x1b[31m'")
    "key 'a\\x1b[31m'"
    """
    if len(text) > MESSAGE_CHARS_MAX:  # the place stands at the beginning, the remedy at the end
        text = f"{text[: MESSAGE_CHARS_MAX // 2]} ... {text[-MESSAGE_CHARS_MAX // 4 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class FlyballError(Exception):
    """Base of everything that flyball itself raises."""


class FlyballWarning(UserWarning):
    """A use of flyball that does harm without being wrong; each is said once."""


class ContractError(FlyballError, ValueError):
    """A document or circuit item that does not keep the contract: the publisher's fault.

    `field` is a dotted path ("targets.payments.retry.max_attempts", or "" for the
    whole), `value` what came (shortened), `bound` what was allowed, as text.
    """

    def __init__(self, message: str, *, field: str, value: object, bound: str = "") -> None:
        super().__init__(printable(message))
        self.field = field
        self.value = value
        self.bound = bound


class SettingsError(FlyballError, ValueError):
    """A wrong argument or environment variable: the fault of whoever configured the client."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(printable(message))
        self.field = field


class RejectedError(FlyballError):
    """A call that flyball did not make. `target` names whom it spares.

    `retry_after_s` is the earliest moment, in seconds from now, at which asking
    again makes sense: an estimate, >= 0.
    """

    def __init__(self, message: str, *, target: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.target = target
        self.retry_after_s = retry_after_s


class CircuitOpenError(RejectedError):
    """The circuit of the target is open, or half-open and this call was no probe.

    Also while nothing is known of a target declared with `when_unknown="open"`.
    """


class BulkheadFull(RejectedError):  # noqa: N818 - a state of affairs, as DeadlineExceeded
    """As many calls of the target are under way in this environment as may be; `retry_after_s` is 0."""


class BudgetExhausted(RejectedError):  # noqa: N818 - a state of affairs, as DeadlineExceeded
    """Another attempt was wanted, and the retry budget had none; the last error is its cause.

    Told to fallbacks only: without one, the last error itself is raised.
    `retry_after_s` is 0: the budget is refilled by traffic, not by time.
    """


class ShedError(RejectedError):
    """The target times out and this call was shed, to let it catch up."""


class DeadlineExceeded(RejectedError):  # noqa: N818 - reads like the built-in family of the same meaning
    """No time was left to make the call at all.

    Also told to a fallback if none was left to repeat it; the last error is its cause then.
    """


class SourceError(FlyballError):
    """A source could not be read; the cause is chained. Never reaches a guarded call."""

    def __init__(self, message: str, *, source: str) -> None:
        super().__init__(message)
        self.source = source
