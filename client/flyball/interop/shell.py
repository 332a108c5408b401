"""What the adapters have in common: begin a call, report its attempts, say no.

A shell like the guard's, cut into the steps in which other libraries let one
take part. It must not know any of them. Clocks are read through the Runtime at
every step, because tests exchange them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flyball.call import Call, Target
from flyball.classify import Classified, classify
from flyball.environment import Runtime
from flyball.errors import SettingsError
from flyball.guard import GuardedTarget
from flyball.misuse import refuse
from flyball.outcome import Outcome, Rejected
from flyball.wrap import Site

# A draw that neither sheds (caps are below it) nor is chosen by a probe ratio below 1.
_NEVER_CHOSEN = 1.0 - 2.0**-53


def library(name: str, adapter: str) -> Any:
    """Return the library that an adapter is for.

    Raises:
        SettingsError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as cause:
        raise SettingsError(
            f"flyball.interop.{adapter} needs {name}, which is not installed: add {name} to the "
            "function's requirements",
            field=name,
        ) from cause


_HANDLE: type = GuardedTarget


class Shell:
    """One guarded target, as an adapter sees it."""

    __slots__ = ("idempotent", "site")

    def __init__(self, handle: GuardedTarget, *, idempotent: bool | None = None) -> None:
        """Take `handle`'s own word for whether calls may be repeated, unless `idempotent` overrides it."""
        if not isinstance(handle, _HANDLE):
            refuse("handle", handle, "the handle of a target, as flyball.target('payments-api') returns it")
        if not isinstance(idempotent, bool | None):
            refuse("idempotent", idempotent, "True, False or None")
        self.site: Site = handle._site
        self.idempotent = handle.idempotent if idempotent is None else idempotent

    @property
    def runtime(self) -> Runtime:
        """The Runtime of the target."""
        return self.site.runtime

    @property
    def target(self) -> Target:
        """The target in the fast loop."""
        return self.site.target

    def poll(self) -> float:
        """Bring what is published up to date if that is due; returns epoch seconds.

        Hooks hear of it, as at the begin of a guarded call.
        """
        shared = self.runtime
        now_s = shared.clock.wall_s()
        if shared.poll(now_s, shared.clock.monotonic_s()):
            now_s = shared.clock.wall_s()
        shared.flush_if_due(now_s)
        if shared.hooks is not None:
            self.target.state(now_s)  # what was published is obeyed when somebody asks
            shared.hooks.drain(self.target)
        return now_s

    def begin(self, *, idempotent: bool | None = None) -> Call:
        """Return the call to make.

        Raises:
            RejectedError: None is to be made; the kind says why.
        """
        call = self.site.begin(self.idempotent if idempotent is None else idempotent)
        if isinstance(call, Rejected):
            raise self.site.refusal(call)
        return call

    def begin_unasked(self) -> Call | None:
        """Return the call whose first attempt was made without asking; None if it would have been refused.

        It is then not counted at all: an attempt against an open circuit says
        nothing that is not known, and a refusal it was not.
        """
        now_s = self.poll()
        shared, target = self.runtime, self.target
        call = target.begin(now_s, _NEVER_CHOSEN, deadline_s=shared.deadline(), idempotent=self.idempotent)
        if isinstance(call, Rejected):
            target.counters.short_circuited -= 1
            return None
        if shared.hooks is not None:
            shared.hooks.began(target, call)
        return call

    def begin_unheard(self) -> Call:
        """Return a call for somebody who will not tell how it ends: only `may_retry` may be asked about it.

        It earns budget, and is in no window and no count.
        """
        self.poll()
        self.target._budget.earned += 1
        return Call(self.target, self.runtime.deadline(), self.idempotent, -1)

    def may_retry(self, call: Call, found: Classified, error: BaseException | None) -> float | None:
        """Seconds to wait before another attempt of an unheard call, None if there is to be none.

        Counts nothing; but hooks hear of the retry, and stacked retries are noticed.
        """
        if found.outcome >= Outcome.PERMANENT:
            return None
        shared = self.runtime
        wait_s = call._wait_s(found.outcome, shared.clock.wall_s(), shared.clock.draw(), found.retry_after_s)
        if shared.hooks is not None:
            shared.hooks.ended(self.target, found.outcome, call.attempt, wait_s)
        self.notice(call, error)
        call.attempt += 1
        return wait_s

    def ended(
        self, call: Call, found: Classified, begun_s: float, error: BaseException | None
    ) -> float | None:
        """Report an attempt that ended as `found`, whatever `error` says; seconds to wait, or None: over."""
        wait_s = self.site.ended(call, found.outcome, begun_s, found.retry_after_s)
        self.notice(call, error)
        return wait_s

    def notice(self, call: Call, error: BaseException | None) -> None:
        """Tell of retries of the SDK beneath those of `call`, as a guard does."""
        if error is not None:
            self.site.notice(call, error)

    def classify(self, error: BaseException) -> Classified:
        """Return what `error` says about the target, by the handle's declarations."""
        site = self.site
        return classify(error, on=site.on, ignore=site.ignore, now_s=site.runtime.clock.wall_s())


class Held:
    """A call that another library carries about for us, under way or not.

    No library tells of every end: an interrupt, a cancelled task or a bug of a
    hook leaves without a word. Whatever holds this is dropped then: what the call
    held is given back, and attempts that did end are counted.
    """

    __slots__ = ("begun_s", "call", "over")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.begun_s: float | None = None  # monotonic, of the attempt under way
        self.over = False

    def abandon(self) -> None:
        """End without a verdict, unless it has ended."""
        self.over = True
        self.call.abandon()

    def __del__(self) -> None:
        self.call.abandon()  # does nothing if the call is over
