"""Numbers of things in words: one row, 20,138 rows. Nothing about which things, or why they are counted."""

from __future__ import annotations


def counted(count: float, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the singular for exactly one.

    Args:
        count: How many, >= 0; a median may end with a half.
        noun: The word for one.
        plural: The word for several, where it is not `noun` with an s.

    >>> counted(1, "row"), counted(20138, "row"), counted(0.5, "row"), counted(0, "policy", "policies")
    ('1 row', '20,138 rows', '0.5 rows', '0 policies')
    """
    many = f"{int(count):,}" if count == int(count) else f"{count:g}"
    return f"{many} {noun if count == 1 else plural or f'{noun}s'}"
