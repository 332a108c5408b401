"""What an error says about a word that nobody knows: the nearest known one, or all of them.

One ending for every such error of flyball. Loaded when a word is wrong: difflib
is nothing that a cold start should pay for.
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: object, known: Iterable[str], *, listing: str = "") -> str:
    """Return "; did you mean X?" for the nearest known word, for the end of an error's sentence.

    Args:
        word: What came.
        known: What there is, in the order in which it is listed.
        listing: How the list of all begins if none is near, as in "known are"; "": say nothing then.

    >>> did_you_mean("reqests", ["requests", "errors"])
    "; did you mean 'requests'?"
    >>> did_you_mean("x", ["requests", "errors"], listing="known are"), did_you_mean("x", ["requests"])
    ('; known are requests, errors', '')
    """
    from difflib import get_close_matches

    words = list(known)
    near = get_close_matches(str(word), words, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; {listing} {', '.join(words) or 'none'}" if listing else ""
