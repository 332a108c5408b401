"""Makes a failing input small: pieces are taken out as long as it still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

TRIES_MAX = 2_000


def shrink(case: Any, fails: Callable[[Any], bool], *, tries_max: int = TRIES_MAX) -> Any:
    """Return a smaller input that still fails; the input itself if none does, or it fails no more."""
    tries = 0
    shrunk = True
    while shrunk and tries < tries_max:
        shrunk = False
        for smaller in smaller_than(case):
            tries += 1
            if tries >= tries_max:
                break
            if fails(smaller):
                case, shrunk = smaller, True
                break
    return case


def smaller_than(case: Any) -> Iterator[Any]:
    """Yield inputs with less in them, the smallest first.

    >>> list(smaller_than([1, {"a": 0}]))[:4]
    [1, {'a': 0}, [{'a': 0}], [1]]
    """
    if isinstance(case, bytes | str):
        yield from _cuts(case)
    elif isinstance(case, dict):
        yield from case.values()
        for key in case:
            yield {k: v for k, v in case.items() if k != key}
        for key, value in case.items():
            for smaller in smaller_than(value):
                yield {**case, key: smaller}
    elif isinstance(case, list):
        yield from case
        for at in range(len(case)):
            yield case[:at] + case[at + 1 :]
        for at, value in enumerate(case):
            for smaller in smaller_than(value):
                yield [*case[:at], smaller, *case[at + 1 :]]


def _cuts(text: Any) -> Iterator[Any]:
    size = len(text) // 2
    while size:
        for at in range(0, len(text), size):
            yield text[:at] + text[at + size :]
        size //= 2
