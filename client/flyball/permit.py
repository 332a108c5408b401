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

Faults on purpose (`flyball.faults`) cannot take the place of a block. A permit
meets them at its begin, which raises the injected error after the verdict; a
loop makes such attempts itself, and hands out the first that is well. Blocks are
taken to keep to their `timeout_s`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self

from flyball.call import Call
from flyball.outcome import GaveUp, Outcome, Rejected
from flyball.wrap import Site, attempt_s, resolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flyball.deadletter import ValueKeeper


_FAILURES: tuple[type, ...] = (Outcome, BaseException)


class Permit:
    """One attempt, and the verdict about it. Made by `permit()` or `acquire()` of a target."""

    __slots__ = ("_begun", "_begun_s", "_call", "_decided", "_entered", "_given_up", "_keeper", "_site")

    def __init__(self, site: Site, keeper: ValueKeeper | None = None) -> None:
        self._site = site
        self._keeper = keeper  # of what is given up
        self._call: Call | None = None  # None before the begin, and if flyball is switched off
        self._begun = False
        self._begun_s = 0.0  # monotonic
        self._entered = False
        self._decided = False
        self._given_up: Exception | None = None  # to be kept when the block is left

    def begin(self) -> Self:
        """Begin the attempt; `with` does it if that was not done before.

        Raises:
            RejectedError: The call is not to be made; the kind says why.
            RuntimeError: It has begun already.
        """
        rejected = self._open()
        if rejected is not None:
            refusal = self._site.refusal(rejected)
            try:
                if self._keeper is not None:
                    self._keeper.put(refusal, self._keeper.letter(refusal, rejected))
                raise refusal
            finally:
                del refusal  # it holds this frame: the slots of all loops above would wait for the collector
        wait_s, error = self._fault()
        if wait_s:
            self._site.runtime.sleep(wait_s)
        if error is not None:
            try:
                self._meet(error)
            finally:
                del error  # as above
        return self

    async def _begin_async(self) -> None:
        """As `begin`; the sink may be asynchronous, and the waiting of a fault is."""
        rejected = self._open()
        if rejected is not None:
            refusal = self._site.refusal(rejected)
            try:
                if self._keeper is not None:
                    await self._keeper.put_async(refusal, self._keeper.letter(refusal, rejected))
                raise refusal
            finally:
                del refusal  # as in `begin`
        wait_s, error = self._fault()
        if wait_s:
            await resolved(self._site.runtime.async_sleep(wait_s))
        if error is not None:
            self._entered = True
            try:
                self._meet(error)
            finally:
                del error
                await self._keep_async()

    def _open(self) -> Rejected | None:
        """Begin, or return why not."""
        if self._begun:
            raise RuntimeError(f"this permit for {self._site.target.name!r} is used up: take another one")
        if not self._site.runtime.off:
            call = self._call_to_make()
            if isinstance(call, Rejected):
                return call
            self._call = call
        self._begun = True
        self._begun_s = self._site.runtime.clock.monotonic_s()
        return None

    def _call_to_make(self) -> Call | Rejected:
        return self._site.begin(False)

    def _fault(self) -> tuple[float, Exception | None]:
        """Seconds by which a fault on purpose makes this attempt late, and the error it raises then."""
        faults = self._site.runtime.faults
        if faults is None or self._call is None:
            return 0.0, None
        return faults.script(self._site.target.name, self.timeout_s)

    def _meet(self, error: Exception) -> None:
        """Fail by a fault on purpose, as the block would have."""
        try:
            self.failure(error)
            raise error
        finally:
            del error

    @property
    def timeout_s(self) -> float | None:
        """Seconds that this attempt may take, >= 0.01; None if flyball is switched off."""
        return None if self._call is None else attempt_s(self._call, self._site.runtime.clock.wall_s())

    # --- the verdict ------------------------------------------------------------------

    def success(self) -> None:
        """The target answered well; raises as `failure` does."""
        self._decide()
        if self._call is not None:
            self._site.succeeded(self._call, self._begun_s)

    def failure(self, found: Outcome | BaseException = Outcome.ERROR_FAST) -> bool:
        """The attempt failed: as an outcome, or by an exception that is classified as in a guard.

        Returns:
            Whether another attempt of this call follows; never for a permit.

        Raises:
            RuntimeError: There was a verdict already.
            SettingsError: It is no failure.
        """
        if found is Outcome.SUCCESS or not isinstance(found, _FAILURES):
            from flyball.misuse import refuse_outcome

            refuse_outcome(found)
        self._decide()
        follows = self._fail(found) is not None
        if not self._entered:  # there is no block that could be left
            self._keep()
        return follows

    def ignore(self) -> None:
        """The attempt ended, and says nothing about the target; raises as `failure` does."""
        self.failure(Outcome.IGNORED)

    def _fail(self, found: Outcome | BaseException) -> float | None:
        call = self._call
        if call is None:
            return None
        if isinstance(found, Outcome):
            wait_s = self._site.ended(call, found, self._begun_s)
        elif isinstance(found, Exception):
            wait_s = self._site.failed(call, found, self._begun_s)
        else:
            call.abandon()  # an interruption is no verdict
            return None
        if wait_s is None and self._keeper is not None and call.gave_up is not GaveUp.OWN_FAULT:
            self._given_up = found if isinstance(found, Exception) else self._keeper.failed(found)
        return wait_s

    def _keep(self) -> None:
        """Keep what was given up, once."""
        error, self._given_up = self._given_up, None
        if error is not None and self._keeper is not None and self._call is not None:
            self._keeper.put(error, self._keeper.letter(error, self._call))

    async def _keep_async(self) -> None:
        """As `_keep`; the sink may be asynchronous."""
        error, self._given_up = self._given_up, None
        if error is not None and self._keeper is not None and self._call is not None:
            await self._keeper.put_async(error, self._keeper.letter(error, self._call))

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
        swallowed = self._close(error)
        self._keep()
        return swallowed

    def _close(self, error: BaseException | None) -> bool:
        """End the attempt; whether the error that leaves the block is to be swallowed."""
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
        if self._entered or not self._begun:
            await self._begin_async()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        swallowed = self._close(error)
        await self._keep_async()
        return swallowed

    def __del__(self) -> None:
        if self._call is not None and self._ends:
            self._call.abandon()


class Attempt(Permit):
    """One attempt of a call that may have several. `number` counts from 1."""

    __slots__ = ("_idempotent", "_wait_s", "number")

    def __init__(
        self, site: Site, call: Call | None, number: int, idempotent: bool, keeper: ValueKeeper | None
    ) -> None:
        super().__init__(site, keeper)
        self._call = call  # of the attempt before; None for the first
        self._idempotent = idempotent
        self._wait_s: float | None = None  # before the next attempt; None: there is none
        self.number = number

    def _call_to_make(self) -> Call | Rejected:
        return self._site.begin(self._idempotent) if self._call is None else self._call

    def _meet(self, error: Exception) -> None:
        """Fail by a fault on purpose; the loop goes on if another attempt follows."""
        try:
            if not self.failure(error):
                raise error
        finally:
            del error

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

    __slots__ = ("_idempotent", "_keeper", "_site")

    def __init__(self, site: Site, idempotent: bool, keeper: ValueKeeper | None = None) -> None:
        self._site = site
        self._idempotent = idempotent
        self._keeper = keeper

    def __iter__(self) -> Iterator[Attempt]:
        return _Loop(self._site, self._idempotent, self._keeper)

    def __aiter__(self) -> AsyncIterator[Attempt]:
        return _AsyncLoop(self._site, self._idempotent, self._keeper)


class _Steps:
    """One loop. Held by the `for` statement alone, so that leaving the loop in any way ends the call."""

    __slots__ = ("_attempt", "_idempotent", "_keeper", "_site")

    def __init__(self, site: Site, idempotent: bool, keeper: ValueKeeper | None) -> None:
        self._site = site
        self._idempotent = idempotent
        self._keeper = keeper
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
        self._attempt = Attempt(self._site, call, number, self._idempotent, self._keeper)
        return self._attempt

    @property
    def _faulty(self) -> bool:
        """Whether the next attempt may meet a fault on purpose, and is to be begun here."""
        shared = self._site.runtime
        return shared.faults is not None and not shared.off and shared.faults.concern(self._site.target.name)

    def __del__(self) -> None:
        attempt = self._attempt
        if attempt is not None and attempt._call is not None:
            attempt._call.abandon()


class _Loop(_Steps):
    __slots__ = ()

    def __iter__(self) -> _Loop:
        return self

    def __next__(self) -> Attempt:
        while True:
            wait_s = self._wait_s()
            if wait_s is None:
                raise StopIteration
            if self._attempt is not None:
                self._site.runtime.sleep(wait_s)
            attempt = self._next()
            if self._faulty:
                attempt.begin()
            if not attempt._decided:
                return attempt


class _AsyncLoop(_Steps):
    __slots__ = ()

    def __aiter__(self) -> _AsyncLoop:
        return self

    async def __anext__(self) -> Attempt:
        while True:
            wait_s = self._wait_s()
            if wait_s is None:
                raise StopAsyncIteration
            if self._attempt is not None:
                await resolved(self._site.runtime.async_sleep(wait_s))
            attempt = self._next()
            if self._faulty:
                await attempt._begin_async()
            if not attempt._decided:
                return attempt
