"""Guards with an idempotency key, a dead letter or a verdict: put together here, for those who ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyball.wrap import Plan, Site, async_wrapper, sync_wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flyball.deadletter import DeadLetter, Sink
    from flyball.results import Verdict


def elaborate(
    site: Site,
    inner: Callable[..., Any],
    *,
    fallback: Callable[..., Any] | None,
    timeout: str,
    idempotent: bool,
    idempotency_key: str | Callable[..., object] | None,
    dead_letter: Sink | DeadLetter | None,
    verdict: Verdict | None,
    asynchronous: bool,
) -> Callable[..., Any]:
    """Return the guarded form of `inner`; the options are those of `guard`.

    Raises:
        SettingsError: An option names an argument that there is not.
    """
    shared, target = site.runtime, site.target.name
    key, keeper, called = None, None, inner
    if idempotency_key is not None:
        from flyball.idempotency import Key

        key = Key(idempotency_key, inner, shared=shared, target=target)
    if dead_letter is not None:
        from flyball.deadletter import FunctionKeeper

        keeper = FunctionKeeper(dead_letter, inner, shared=shared, target=target, timeout=timeout, key=key)
    if verdict is not None:
        from flyball.results import judged

        called = judged(inner, verdict, asynchronous=asynchronous)
    plan = Plan(
        site, called, fallback=fallback, timeout=timeout, idempotent=idempotent, key=key, keeper=keeper
    )
    guarded = async_wrapper(plan) if asynchronous else sync_wrapper(plan)
    if verdict is None:
        return guarded
    from flyball.results import unjudged

    return unjudged(guarded, asynchronous=asynchronous)
