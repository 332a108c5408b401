"""Calls without a wrapper: a permit for one attempt, and a loop over the attempts of one call.

For code that no decorator can get hold of: a block inside a longer function, a
library that is told "begin" and "end", an answer that is judged by its content.
The call is the same as the decorator's (`flyball.call`), and so are its counts.

    with payments.permit() as permit:
        reply = send(order)
        if reply.status == 429:
            permit.failure(Outcome.THROTTLE)
        else:
            permit.success()

A verdict is given once, by word or by the exception that leaves the block; to
leave without one is neutral, whatever the way: end of the block, interruption,
cancellation, a generator that is closed. What the call held is given back then,
and at the latest when it is forgotten.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self

from flyball.call import Call
from flyball.outcome import Outcome, Rejected
from flyball.wrap import Site, resolved


class Permit:
    """One attempt, and the verdict about it. Made by `permit()` or `acquire()` of a target."""

    __slots__ = ("_begun", "_begun_s", "_call", "_decided", "_entered", "_site")

    def __init__(self, site: Site) -> None:
        self._site = site
        self._call: Call | None = None  # None before the begin, and if flyball is switched off
        self._begun = False
        self._begun_s = 0.0  # monotonic
        self._entered = False
        self._decided = False

    def begin(self) -> Self:
        """Begin the attempt; `with` does it if that was not done before.

        Raises:
            RejectedError: The call is not to be made; the kind says why.
            RuntimeError: It has begun already.
        """
        if self._begun:
            raise RuntimeError(f"this permit for {self._site.target.name!r} is used up: take another one")
        if not self._site.runtime.off:
            self._call = self._call_to_make()
        self._begun = True
        self._begun_s = self._site.runtime.clock.monotonic_s()
        return self

    def _call_to_make(self) -> Call:
        return self._new_call(idempotent=False)

    def _new_call(self, *, idempotent: bool) -> Call:
        call = self._site.begin(idempotent)
        if isinstance(call, Rejected):
            self._site.refuse(call)
        return call

    @property
    def timeout_s(self) -> float | None:
        """Seconds that this attempt may take, >= 0; None if flyball is switched off."""
        return None if self._call is None else self._call.timeout_s(self._site.runtime.clock.wall_s())

    # --- the verdict ------------------------------------------------------------------

    def success(self) -> None:
        """The target answered well.

        Raises:
            RuntimeError: There was a verdict already.
        """
        self._decide()
        if self._call is not None:
            self._site.succeeded(self._call, self._begun_s)

    def failure(self, found: Outcome | BaseException = Outcome.ERROR_FAST) -> bool:
        """The attempt failed: as an outcome, or by an exception that is classified as in a guard.

        Returns:
            Whether another attempt of this call follows; never for a permit.

        Raises:
            RuntimeError: There was a verdict already.
        """
        self._decide()
        return self._fail(found) is not None

    def ignore(self) -> None:
        """The attempt ended, and says nothing about the target.

        Raises:
            RuntimeError: There was a verdict already.
        """
        self.failure(Outcome.IGNORED)

    def _fail(self, found: Outcome | BaseException) -> float | None:
        call = self._call
        if call is None:
            return None
        if isinstance(found, Outcome):
            return self._site.ended(call, found, self._begun_s)
        if isinstance(found, Exception):
            return self._site.failed(call, found, self._begun_s)
        call.abandon()  # an interruption is no verdict
        return None

    def _decide(self) -> None:
        if self._decided:
            name = self._site.target.name
            raise RuntimeError(f"the verdict about this attempt at {name!r} was given already")
        self._decided = True

    # --- the block --------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._entered or not self._begun:
            self.begin()
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        try:
            return self._leave(error)
        finally:
            if self._call is not None and self._ends:
                self._call.abandon()  # if there was no verdict; else it does nothing

    @property
    def _ends(self) -> bool:
        """Whether the call ends with this attempt."""
        return True

    def _leave(self, error: BaseException | None) -> bool:
        """Take the error that leaves the block for the verdict; whether it is to be swallowed."""
        if isinstance(error, Exception) and not self._decided:
            self.failure(error)
        return False

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return self.__exit__(kind, error, traceback)

    def __del__(self) -> None:
        if self._call is not None and self._ends:
            self._call.abandon()


class Attempt(Permit):
    """One attempt of a call that may have several. `number` counts from 1."""

    __slots__ = ("_idempotent", "_wait_s", "number")

    def __init__(self, site: Site, call: Call | None, number: int, idempotent: bool) -> None:
        super().__init__(site)
        self._call = call  # of the attempt before; None for the first
        self._idempotent = idempotent
        self._wait_s: float | None = None  # before the next attempt; None: there is none
        self.number = number

    def _call_to_make(self) -> Call:
        return self._new_call(idempotent=self._idempotent) if self._call is None else self._call

    def _fail(self, found: Outcome | BaseException) -> float | None:
        self._wait_s = super()._fail(found)
        return self._wait_s

    def _leave(self, error: BaseException | None) -> bool:
        if error is None:
            if not self._decided:
                self.success()  # a block that ends well is the answer
            return False
        if isinstance(error, Exception) and not self._decided:
            return self.failure(error)
        self._wait_s = None  # interrupted, or failed after the verdict: nothing follows
        return False

    @property
    def _ends(self) -> bool:
        return self._wait_s is None


class Attempts:
    """The attempts of one call. Made by `attempts()` of a target; each loop over it is another call."""

    __slots__ = ("_idempotent", "_site")

    def __init__(self, site: Site, idempotent: bool) -> None:
        self._site = site
        self._idempotent = idempotent

    def __iter__(self) -> Iterator[Attempt]:
        return _Loop(self._site, self._idempotent)

    def __aiter__(self) -> AsyncIterator[Attempt]:
        return _AsyncLoop(self._site, self._idempotent)


class _Steps:
    """One loop. Held by the `for` statement alone, so that leaving the loop in any way ends the call."""

    __slots__ = ("_attempt", "_idempotent", "_site")

    def __init__(self, site: Site, idempotent: bool) -> None:
        self._site = site
        self._idempotent = idempotent
        self._attempt: Attempt | None = None  # the one under way, or made last

    def _wait_s(self) -> float | None:
        """Seconds to wait before the next attempt, 0 before the first, None if there is none."""
        attempt = self._attempt
        if attempt is None:
            return 0.0
        if not attempt._begun:
            raise RuntimeError(
                f"attempt {attempt.number} at {self._site.target.name!r} was not made: put it into "
                "`with attempt:` (`async with` in a coroutine)"
            )
        return attempt._wait_s

    def _next(self) -> Attempt:
        before = self._attempt
        call, number = (None, 1) if before is None else (before._call, before.number + 1)
        self._attempt = Attempt(self._site, call, number, self._idempotent)
        return self._attempt

    def __del__(self) -> None:
        attempt = self._attempt
        if attempt is not None and attempt._call is not None:
            attempt._call.abandon()


class _Loop(_Steps):
    __slots__ = ()

    def __iter__(self) -> _Loop:
        return self

    def __next__(self) -> Attempt:
        wait_s = self._wait_s()
        if wait_s is None:
            raise StopIteration
        if self._attempt is not None:
            self._site.runtime.sleep(wait_s)
        return self._next()


class _AsyncLoop(_Steps):
    __slots__ = ()

    def __aiter__(self) -> _AsyncLoop:
        return self

    async def __anext__(self) -> Attempt:
        wait_s = self._wait_s()
        if wait_s is None:
            raise StopAsyncIteration
        if self._attempt is not None:
            await resolved(self._site.runtime.async_sleep(wait_s))
        return self._next()
