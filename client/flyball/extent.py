"""The extent of one invocation: a deadline for all guarded calls, and metrics at its end.

    @flyball.handler
    def handle(event, context):
        return charge(event["order"])

    with flyball.invocation(context):  # code without a handler of its own
        charge(order)

Which deadline counts for whom, when several are under way, is the Runtime's
business (`flyball.environment`); here are the forms in which users say it.
Loaded by whoever uses one of them.
"""

from __future__ import annotations

from functools import wraps

from flyball.environment import DEADLINE_MARGIN_S, Runtime
from flyball.functions import CO_COROUTINE, CO_GENERATOR, code_flags
from flyball.guard import runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

__all__ = ["handler", "invocation"]


class invocation:  # noqa: N801 - reads as a statement: `with flyball.invocation(context):`
    """The extent of one Lambda invocation: a deadline for all guarded calls, and metrics at its end.

    Invocations of a host with concurrency may overlap: each thread or task obeys
    its own. One inside another never lengthens it. May be used again, once it is over.

    Args:
        context: Lambda's context, or anything with `get_remaining_time_in_millis`; None = there
            is no deadline of its own, as in tests that call a handler with None.
        within: The Runtime; default the process's.

    Raises (at `with`):
        SettingsError: The context does not tell how much time is left.
    """

    __slots__ = ("_context", "_entered", "_shared", "_within")

    def __init__(self, context: Any, *, within: Runtime | None = None) -> None:
        self._context = context
        self._within = within

    def __enter__(self) -> None:
        shared = self._shared = runtime() if self._within is None else self._within
        self._entered = shared.enter(shared.clock.wall_s() + self._left_s() - DEADLINE_MARGIN_S)

    def _left_s(self) -> float:
        """Seconds of the invocation. 0 is a value: no time is left."""
        if self._context is None:
            return float("inf")
        try:
            left_s = float(self._context.get_remaining_time_in_millis() / 1_000.0)
        except (AttributeError, TypeError, ValueError):
            left_s = float("nan")
        if left_s != left_s:
            from flyball.misuse import refuse_context

            refuse_context(self._context)
        return left_s

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shared.leave(self._entered)
        self._shared.flush()


def handler(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Decorate a Lambda handler, plain or not: each invocation sets the deadline and writes the metrics.

    Raises:
        SettingsError: It is no function, or a generator.
    """
    flags = code_flags(function)
    given: object = function
    if not callable(given) or flags & CO_GENERATOR:
        from flyball.misuse import refuse_function

        refuse_function(given, "")
    if flags & CO_COROUTINE:

        @wraps(function)
        async def handled_async(event: Any, context: Any) -> Any:
            with invocation(context):
                return await function(event, context)

        return handled_async

    @wraps(function)
    def handled(event: Any, context: Any) -> Any:
        with invocation(context):
            return function(event, context)

    return handled
