"""What can be learned of a function from its code object, without calling it and without `inspect`.

`inspect` is a dozen imports, which a cold start would pay for; a guard needs to
know only whether a function is asynchronous, a generator, and which arguments it
can be told by name.
"""

from __future__ import annotations

from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Flags of code objects.
CO_VARKEYWORDS = 0x08
CO_COROUTINE = 0x80
CO_GENERATOR = 0x20 | 0x200  # plain and asynchronous


def code_of(function: object) -> Any:
    """Return the code that a call would run, through partials and callable objects; None if there is none."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None and callable(function):
        code = getattr(type(function).__call__, "__code__", None)
    return code


def code_flags(function: object) -> int:
    """Return the flags of the code that a call would run."""
    return int(getattr(code_of(function), "co_flags", 0))


def takes(function: object, name: str) -> bool:
    """Return whether a call can pass the argument by name; True if the code cannot be seen.

    >>> takes(lambda order, *, timeout_s: None, "timeout_s"), takes(lambda order: None, "timeout_s")
    (True, False)
    """
    code = code_of(function)
    if code is None or code.co_flags & CO_VARKEYWORDS:
        return True
    return name in code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]


def wants(function: object, name: str) -> bool:
    """Return whether a function names a keyword-only parameter so: positions are the call's own."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        return False
    first = code.co_argcount
    return name in code.co_varnames[first : first + code.co_kwonlyargcount]
