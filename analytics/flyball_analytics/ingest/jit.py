"""Compiles a kernel with numba if it is installed; the same source runs uncompiled where it is not.

The compiled code is kept in numba's cache (beside the source, else in the user's
cache folder); where neither can be written it is compiled anew in each process.
Importing this module does not import numba.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def has_numba() -> bool:
    """Return whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def jitable(function: F) -> F:
    """Mark a function that compiled code may call; it stays what it is for everybody else."""
    if not has_numba():
        return function
    from numba.extending import register_jitable

    marked: F = register_jitable(function)
    return marked


def compiled(function: F, *, cache: bool = True) -> F:
    """Return the function compiled, without the GIL while it runs; the function itself without numba.

    Callees must be in the same module: the cache looks at that file alone.
    """
    if not has_numba():
        return function
    from numba import njit

    try:
        fast: F = njit(function, cache=cache, nogil=True, error_model="numpy")
    except RuntimeError:  # "no locator available": neither place can be written
        fast = njit(function, cache=False, nogil=True, error_model="numpy")
    return fast
