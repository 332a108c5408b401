"""Dead letters and the two ends of a redrive, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from flyball.letter import Letter, encode_letter
from flyball_analytics.redrive import Pace, Plan, Result, Slip, redrive

NOW_S = 1_732_100_000.0


def letter(number: int = 1, **fields: Any) -> Letter:
    """The letter of order `number`, failed an hour ago."""
    known = Letter(
        "payments", "pay", {"order": number}, "PaymentError", "down", 4, NOW_S - 3_600.0, f"k{number}"
    )
    return known._replace(**fields)


def lines(*letters: Letter) -> str:
    """The letters as FileSink writes them."""
    return "".join(f"{encode_letter(one)}\n" for one in letters)


class Tray:
    """A source in memory."""

    def __init__(self, *letters: Letter | None) -> None:
        self.slips_left = [
            Slip(f"#{number}", one, "" if one else "torn") for number, one in enumerate(letters, 1)
        ]
        self.removed: list[str] = []
        self.error: Exception | None = None

    def slips(self) -> Iterator[Slip]:
        yield from self.slips_left

    def remove(self, slip: Slip) -> None:
        if self.error is not None:
            raise self.error
        self.removed.append(slip.place)

    def close(self) -> None:
        """Nothing is held."""


class Office:
    """A destination that takes letters, or does as the script says."""

    def __init__(self, *script: BaseException | None) -> None:
        self.script = list(script)
        self.taken: list[Any] = []

    def __call__(self, one: Letter) -> None:
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        self.taken.append(one.payload["order"])


def run(
    tray: Any, office: Any, *, waits: list[float] | None = None, gate: Any = None, **fields: Any
) -> list[Result]:
    """A whole redrive at once."""
    paced = pace([] if waits is None else waits)
    return list(redrive(tray, office, plan=plan(**fields), pace=paced, gate=gate))


def outcomes(results: list[Result]) -> list[str]:
    return [result.outcome.name for result in results]


def plan(**fields: Any) -> Plan:
    return Plan(**{"apply": True, "now_s": NOW_S, **fields})


def pace(waits: list[float], *, rate: float = 10.0, jitter: float = 0.0, seed: int = 0) -> Pace:
    return Pace(rate, jitter, Random(seed), waits.append)
