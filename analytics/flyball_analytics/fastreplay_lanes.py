"""Several policies in one pass of the step: numbers that are one per policy, and agree in every choice.

A field in which policies differ is given to the step as `Lanes`. Arithmetic works on each
lane, with the very operations that one policy alone would see. Whatever turns a number
into control flow (a comparison, a truth value, a whole number, a root) must come to the
same in all lanes; where it does not, `PartedError` says which lanes go together, and the
caller takes the step again for each part. So one pass is exactly what each policy alone
would have done, whatever the step consists of. Knows no step and no policy's meaning.

Identity (`is`) and membership in a dictionary cannot be seen from here: fields of enums
never become lanes, and a lane has no hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import add, eq, ge, gt, le, lt, mul, ne, sub, truediv
from typing import TYPE_CHECKING, Any

from flyball_controller.core.state import State

if TYPE_CHECKING:
    from typing import TypeAlias

    Number: TypeAlias = "int | float | Lanes"


class PartedError(Exception):
    """The lanes do not agree: `found` holds what each came to, in their order."""

    def __init__(self, found: Sequence[object]) -> None:
        super().__init__("the policies part here")
        self.found = tuple(found)


def joined(values: Sequence[Any]) -> Any:
    """Return the value itself where all lanes hold the same, bit for bit and of one type; else the lanes."""
    first = values[0]
    # 0.0 equals -0.0 and is another number, 1 equals 1.0.
    if (
        values.count(first) == len(values)
        and len(set(map(type, values))) == 1
        and (first != 0 or len(set(map(repr, values))) == 1)
    ):
        return first
    return Lanes(values)


class Lanes:
    """One number per policy."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = tuple(values)

    def __repr__(self) -> str:
        return f"Lanes{self.values!r}"

    # --- arithmetic: each lane for itself ---------------------------------------------------

    def _with(self, other: Number, work: Callable[[Any, Any], Any]) -> Any:
        if type(other) is Lanes:
            return joined([work(a, b) for a, b in zip(self.values, other.values, strict=True)])
        return joined([work(a, other) for a in self.values])

    def _after(self, other: Number, work: Callable[[Any, Any], Any]) -> Any:
        return joined([work(other, a) for a in self.values])

    def __add__(self, other: Number) -> Any:
        return self._with(other, add)

    def __radd__(self, other: Number) -> Any:
        return self._after(other, add)

    def __sub__(self, other: Number) -> Any:
        return self._with(other, sub)

    def __rsub__(self, other: Number) -> Any:
        return self._after(other, sub)

    def __mul__(self, other: Number) -> Any:
        return self._with(other, mul)

    def __rmul__(self, other: Number) -> Any:
        return self._after(other, mul)

    def __truediv__(self, other: Number) -> Any:
        return self._with(other, truediv)

    def __rtruediv__(self, other: Number) -> Any:
        return self._after(other, truediv)

    # --- control flow: one answer, or none ----------------------------------------------------

    def _agreed(self, found: list[Any]) -> Any:
        if found.count(found[0]) != len(found):
            raise PartedError(found)
        return found[0]

    def _compared(self, other: Any, work: Callable[[Any, Any], bool]) -> bool:
        if type(other) is Lanes:
            return bool(self._agreed([work(a, b) for a, b in zip(self.values, other.values, strict=True)]))
        return bool(self._agreed([work(a, other) for a in self.values]))

    def __lt__(self, other: Number) -> bool:
        return self._compared(other, lt)

    def __le__(self, other: Number) -> bool:
        return self._compared(other, le)

    def __gt__(self, other: Number) -> bool:
        return self._compared(other, gt)

    def __ge__(self, other: Number) -> bool:
        return self._compared(other, ge)

    def __eq__(self, other: object) -> bool:
        return self._compared(other, eq)

    def __ne__(self, other: object) -> bool:
        return self._compared(other, ne)

    def __bool__(self) -> bool:
        return bool(self._agreed([bool(a) for a in self.values]))

    def __int__(self) -> int:
        return int(self._agreed([int(a) for a in self.values]))

    def __float__(self) -> float:
        raise PartedError(self.values)  # a root or a column takes one number, and these differ


def parts(found: Sequence[object]) -> list[list[int]]:
    """Return the places of the lanes that go together, in the order of their first ones.

    >>> parts([True, False, True])
    [[0, 2], [1]]
    """
    places: dict[str, list[int]] = {}
    for place, value in enumerate(found):
        places.setdefault(repr(value), []).append(place)
    return list(places.values())


def numbers(state: State) -> Iterator[object]:
    """Yield all that a law and a baseline write into a state.

    Profiles are left out: they hold whole numbers, and `int` of lanes is one.
    """
    law, rarity = state.law, state.rarity
    records: tuple[tuple[object, ...], ...]
    records = (state, law, law.applied, state.baseline, rarity, rarity.independent_s, *state.ring)
    return chain.from_iterable(records)


def whole(state: State) -> State:
    """Return a state in which all lanes are the same target.

    Raises:
        PartedError: If they are not.
    """
    for value in numbers(state):
        if type(value) is Lanes:
            raise PartedError(value.values)
    return state


def same(one: State, other: State) -> bool:
    """Return whether two states are one, to the sign of a zero."""
    return one == other and all(
        repr(mine) == repr(theirs)
        for mine, theirs in zip(numbers(one), numbers(other), strict=True)
        if isinstance(mine, float) and mine == 0.0
    )
