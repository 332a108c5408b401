"""The functions of the quiet path, compiled: the same code objects, other callees.

A function is compiled by giving its code a namespace in which every other function of
the list is the compiled one. So there is no second source that could drift. numba
runs without fast-math; `error_model="numpy"` leaves out the checks for a zero divisor,
of which the step has none (where CPython would raise, it would raise in production).

The compiled code is kept in the user's cache folder, in a folder named by the digest
of every source that goes into it: numba itself would only look at one of the files.
Where nothing can be written the code is compiled anew in each process, and one line
says so. Never knows states, policies or histories.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from flyball_analytics import (
    fastreplay_agree,
    fastreplay_block,
    fastreplay_desk,
    fastreplay_learning,
    fastreplay_loop,
    fastreplay_memory,
    fastreplay_ring,
)
from flyball_controller.core import kernel, kernel_bounds, promise, threshold

MODULES = (
    kernel_bounds,
    kernel,
    threshold,
    promise,
    fastreplay_desk,
    fastreplay_learning,
    fastreplay_ring,
    fastreplay_agree,
    fastreplay_block,
    fastreplay_loop,
    fastreplay_memory,
)
KERNEL: Mapping[ModuleType, tuple[str, ...]] = {
    kernel_bounds: (
        "wilson_bounds",
        "is_surely_under",
        "upper_side",
        "upper_is_under",
        "is_clean",
        "is_calm",
    ),
    kernel: (
        "slot_of",
        "median3",
        "minutes_covered",
        "quanta",
        "level_of",
        "confidence_of",
        "expected_of",
        "top_ratio",
        "kept_share",
        "learning_rate",
        "moved_spread",
        "dispersion_prior",
        "dispersion_after",
        "moved_dispersion",
        "moved_latency",
        "proven_faded",
        "proven_after",
        "moved_proven",
        "learned",
        "proven_peak",
    ),
    threshold: ("trip_level", "trips_for"),
    promise: ("bet", "likelihood_ratio", "_root", "_power", "_scaled", "multiplied"),
    fastreplay_learning: (
        "rare",
        "forget",
        "watched",
        "hour_ratio",
        "season_quanta",
        "third_closed",
        "third_summed",
        "hour_closed",
        "counted",
        "counted_median",
        "visit_minutes",
        "taught",
    ),
    fastreplay_ring: ("put_window", "pools", "windows_kept", "pool_back"),
    fastreplay_agree: ("kind_of", "lane_at", "cap_over", "agreed", "agreed_with", "agree", "stays_quiet"),
    fastreplay_block: (
        "block",
        "run_limit",
        "run_length",
        "is_odd",
        "copied",
        "laid_out",
        "renewed",
        "taught_run",
        "judged",
        "noted",
        "evidence",
        "hours",
    ),
    fastreplay_loop: (
        "advance",
        "window",
        "minute_ratio",
        "keep_books",
    ),
}
ENTRY = "advance"
# Rare or long: inlined they would only crowd the registers of the loop.
APART = (
    "season_quanta",
    "counted_median",
    ENTRY,
    "wilson_bounds",
    "likelihood_ratio",
    "_root",
    "_power",
    "_scaled",
    "multiplied",
    "windows_kept",
    "pool_back",
    "third_closed",
    "hour_closed",
    # One kind of work each; the arrays that they do not need are not handed over.
    "run_length",
    "copied",
    "laid_out",
    "renewed",
    "taught_run",
    "judged",
    "evidence",
    "hours",
    "agreed",
    "agreed_with",
    "agree",
)


class Compiled(NamedTuple):
    """The entry of the quiet path, and what has to be said about it once; empty: nothing."""

    advance: Callable[..., int]
    notice: str


@lru_cache(maxsize=1)
def compiled() -> Compiled | None:
    """Return the compiled quiet path, None where numba is not installed; the first call makes or loads it."""
    try:
        import numba
    except ImportError:
        return None
    folder = cache_folder(os.environ, Path.home)
    usable = is_writable(folder)
    notice = "" if usable else f"compiled code cannot be kept in {folder}: it is made anew in each process"
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        return Compiled(_built(numba.njit, cache=usable), notice)
    finally:
        config.CACHE_DIR = before


def _built(njit: Callable[..., Any], *, cache: bool) -> Callable[..., int]:
    made: dict[Any, Any] = {}
    spaces: list[dict[str, Any]] = []
    for module, names in KERNEL.items():
        space = dict(vars(module))
        spaces.append(space)
        for name in names:
            plain = getattr(module, name)
            twin = FunctionType(plain.__code__, space, name, plain.__defaults__)
            twin.__module__ = module.__name__
            twin.__qualname__ = plain.__qualname__
            inline = "never" if name in APART else "always"
            keep = cache and name == ENTRY
            # Counting references to arrays that the caller holds anyway takes four fifths of the time.
            made[plain] = njit(error_model="numpy", cache=keep, inline=inline, _nrt=False)(twin)
    for space in spaces:
        for name, value in list(space.items()):
            if isinstance(value, FunctionType) and value in made:
                space[name] = made[value]
    entry: Callable[..., int] = made[fastreplay_loop.advance]
    return entry


def cache_folder(environment: Mapping[str, str], home: Callable[[], Path]) -> Path:
    """Return the folder for compiled code of exactly these sources: $XDG_CACHE_HOME/flyball/DIGEST."""
    root = environment.get("XDG_CACHE_HOME", "")
    base = Path(root) if root and Path(root).is_absolute() else home() / ".cache"
    return base / "flyball" / f"replay-{source_digest()}"


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return the identity of everything that the compiled code depends on but numba does not look at."""
    digest = sha256(f"{platform.python_version()} {metadata.version('numba')} {APART}".encode())
    for module in MODULES:
        loader: Any = module.__loader__
        digest.update(loader.get_data(module.__file__))
    return digest.hexdigest()[:16]


def is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder; it is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
