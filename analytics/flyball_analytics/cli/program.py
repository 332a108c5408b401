"""The name by which this user can call this program again: what we print must work when it is pasted."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program_name() -> str:
    """Return `flyball` if that is on the PATH, else the path by which it was started, as seen from here."""
    started = Path(sys.argv[0])
    if shutil.which("flyball") or started.name != "flyball" or not started.is_file():
        return "flyball"
    return os.path.relpath(started)
