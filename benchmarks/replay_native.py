"""Build and call the C twin of the compiled replay; None where there is no C compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flyball_analytics.fastreplay_memory import Columns, Memory, Params

SOURCE = Path(__file__).with_name("replay_kernel.c")
FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC")
NUMBERS = (  # in the order of params_t
    "needed_s", "retry_floor", "retry_adaptive", "retry_multiple", "retry_spread_k", "open_floor",
    "open_adaptive", "open_multiple", "open_spread_k", "trip_ceiling", "reset_floor", "reset_point",
    "reset_multiple", "timeout_trip", "normal_floor", "normal_multiple", "z_act", "min_requests",
    "min_errors", "pool_s_max", "quiet_s", "valid_for_s", "act_within_s", "half_life_s", "rise_factor",
    "winsor_k", "profile_visits_min", "confidence_full_s",
)  # fmt: skip


def native_advance(folder: Path) -> Callable[[Columns, int, int, Memory, Params], int] | None:
    """Return `advance` compiled from C into `folder`; it takes what the Python one takes."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = folder / "replay_kernel.so"
    subprocess.run([compiler, *FLAGS, "-o", str(library), str(SOURCE), "-lm"], check=True)
    entry = ctypes.CDLL(str(library)).advance
    entry.restype = ctypes.c_int64

    def pointers(arrays: Any) -> Any:
        return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))

    def advance(columns: Columns, first: int, last: int, memory: Memory, params: Params) -> int:
        if params.is_ladder or params.promise != 1:
            raise ValueError("the C twin knows the two-loop law with the promise ANY only")
        numbers = (ctypes.c_double * len(NUMBERS))(*(float(getattr(params, name)) for name in NUMBERS))
        return int(
            entry(pointers(columns), ctypes.c_int64(first), ctypes.c_int64(last), pointers(memory), numbers)
        )

    return advance
