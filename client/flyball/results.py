"""Calls whose result says that they failed: answers that no exception reports.

    @payments.guard(verdict=by_status)
    def ask(order, timeout_s): return requests.post(URL, json=order, timeout=timeout_s)

`verdict` is a function of the result; it returns None for a good one, else the
Outcome, with the pause that the target asked for if it did. Such a result is
repeated, counted and kept as a failure is; if it is the last one, the fallback
answers, and without one the result itself is returned, for nothing was raised
(K8). Loaded only if a verdict is given.

Inside, a bad result travels as an exception of ours, and never leaves the guard.
A verdict that raises fails the call with its error, which is the caller's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import CoroutineType
from typing import Any

from flyball.classify import Classified, classify
from flyball.errors import FlyballError, SettingsError
from flyball.outcome import Outcome

Verdict = Callable[[Any], Outcome | Classified | None]


class BadResultError(FlyballError):
    """A result that its verdict called a failure; the text is the Outcome. Told to fallbacks only."""

    def __init__(self, result: object, found: Classified) -> None:
        super().__init__(found.outcome.name.lower())
        self.result = result
        self.found = found


class _Answer:
    """What `classify` looks at in an error that carries a response, without the error."""

    def __init__(self, response: object) -> None:
        self.status_code = getattr(response, "status_code", None) or getattr(response, "status", None)
        self.headers = getattr(response, "headers", None)


class _AnswerError(Exception):
    def __init__(self, response: object) -> None:
        super().__init__()
        self.response = _Answer(response)


def by_status(response: Any) -> Classified | None:
    """Return the verdict about an HTTP response by its status, as in an exception; 4xx are permanent.

    For the responses of requests, httpx and aiohttp (`status_code` or `status`, and `headers`).

    >>> from types import SimpleNamespace
    >>> by_status(SimpleNamespace(status_code=429, headers={"Retry-After": "7"})).retry_after_s
    7.0
    >>> by_status(SimpleNamespace(status=204, headers={})) is None
    True
    """
    error = _AnswerError(response)
    status = error.response.status_code
    return classify(error) if isinstance(status, int) and status >= 400 else None


def judged(function: Callable[..., Any], verdict: Verdict, *, asynchronous: bool) -> Callable[..., Any]:
    """Return `function` with bad results raised, for the inside of a guard."""

    def judge(result: Any) -> Any:
        found = verdict(result)
        if found is None:
            return result
        if isinstance(found, Outcome):
            found = Classified(found)
        if not isinstance(found, Classified):
            raise SettingsError(
                f"verdict returned {found!r}: it must be None, an Outcome, or a Classified", field="verdict"
            )
        if found.outcome is Outcome.SUCCESS:
            return result
        raise BadResultError(result, found)

    async def judge_later(begun: Awaitable[Any]) -> Any:
        return judge(await begun)

    if asynchronous:

        @wraps(function)
        async def judging_async(*args: Any, **kwargs: Any) -> Any:
            return judge(await function(*args, **kwargs))

        return judging_async

    @wraps(function)
    def judging(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return judge_later(result) if result.__class__ is CoroutineType else judge(result)

    return judging


def unjudged(guarded: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
    """Return a guarded function that returns the bad result with which it would have failed."""

    async def later(begun: Awaitable[Any]) -> Any:
        try:
            return await begun
        except BadResultError as bad:
            return bad.result

    if asynchronous:

        @wraps(guarded)
        async def returning_async(*args: Any, **kwargs: Any) -> Any:
            return await later(guarded(*args, **kwargs))

        return returning_async

    @wraps(guarded)
    def returning(*args: Any, **kwargs: Any) -> Any:
        try:
            result = guarded(*args, **kwargs)
        except BadResultError as bad:
            return bad.result
        return later(result) if result.__class__ is CoroutineType else result

    return returning
