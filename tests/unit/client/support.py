"""Fakes of the client's ports, and short ways to write records, for the tests beside this file."""

from __future__ import annotations

from flyball.contract import FLEET, Circuit, CircuitState
from flyball.environment import Runtime
from flyball.guard import GuardedTarget, target


class ManualClock:
    """A clock that moves only when told, or by sleeping; wall and monotonic can be moved apart."""

    def __init__(self, wall_s: float = 1_000.0, monotonic_s: float = 50.0, draw: float = 0.5) -> None:
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self.fixed_draw = draw
        self.draws = 0
        self.sleeps: list[float] = []

    def wall_s(self) -> float:
        return self._wall_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def draw(self) -> float:
        self.draws += 1
        return self.fixed_draw

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.pass_s(seconds)

    def pass_s(self, seconds: float) -> None:
        self._wall_s += seconds
        self._monotonic_s += seconds

    def set_wall_s(self, wall_s: float) -> None:
        self._wall_s = wall_s


class ScriptedReads:
    """A source that answers from a list: values are returned, exceptions raised; the last one for ever."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.reads = 0

    def read(self, *_key: object) -> object:
        self.reads += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def circuit(state: CircuitState, **fields: object) -> Circuit:
    """A circuit of target "t", version 1, changed at 1,000 s, valid until 1,090 s, unless told otherwise."""
    known: dict[str, object] = {
        "target": "t",
        "function": FLEET,
        "changed_at": 1_000.0,
        "error_count": 9,
        "probe_ratio": 0.1,
        "version": 1,
        "write_id": "w",
        "stamp": 940.0,
        "valid_until": 1_090.0,
        "reason": "",
    }
    return Circuit(state=state, **{**known, **fields})  # type: ignore[arg-type]


class PaymentError(Exception):
    """The target failed, says its user."""


class World:
    """A runtime on a manual clock, and a function that does what a script says."""

    def __init__(self, **kwargs: object) -> None:
        self.clock = ManualClock()
        self.lines: list[str] = []
        self.runtime = Runtime(clock=self.clock, write=self.lines.append, **kwargs)
        self.calls: list[tuple[object, ...]] = []

    def target(self, **kwargs: object) -> GuardedTarget:
        return target("t", within=self.runtime, **{"on": PaymentError, "idempotent": True, **kwargs})

    def function(self, *script: object, took_s: float = 0.010):
        answers = list(script)

        def scripted(*args: object, **kwargs: object) -> object:
            self.calls.append((*args, *kwargs.items()))
            self.clock.pass_s(took_s)
            answer = answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return scripted

    @property
    def counters(self):
        return self.runtime.targets["t"].counters
