"""A soak in several processes: each lives some installations, and each must pass by itself.

Installations share nothing but the account's emulators, so a fleet of six can be
lived as two accounts of three, at the same time on two processors. What each
target meets is decided by its number in the whole fleet, so that an incident
strikes all parts in the same minute; counts are drawn from a stream per part.

Memory is of a process and growth is judged in it, so that a part is judged whole:
no leak of one can hide in another. Knows nothing of worlds and AWS.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    """Which of how many: installation n is in part n % of + 1."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        """Return it as the command line names it, e.g. "1/2"."""
        return f"{self.number}/{self.of}"

    def installations(self, count: int) -> tuple[int, ...]:
        """Return the installations of this part, of `count` in all.

        >>> Part(2, 4).installations(6)
        (1, 5)
        """
        return tuple(range(self.number - 1, count, self.of))


def part_of(text: str) -> Part:
    """Return the part that `text` names.

    Raises:
        ValueError: It is not "k/n" with 1 <= k <= n.

    >>> part_of("2/3")
    Part(number=2, of=3)
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part = Part(int(found[1]), int(found[2])) if found else Part(0, 0)
    if not 1 <= part.number <= part.of:
        raise ValueError(f"{text!r} must be k/n with 1 <= k <= n, as 1/2")
    return part


def parts(of: int) -> list[Part]:
    """Return all parts of a whole.

    >>> parts(2)
    [Part(number=1, of=2), Part(number=2, of=2)]
    """
    return [Part(number, of) for number in range(1, of + 1)]


def state_of(path: Path, part: Part) -> Path:
    """Return the file that a part is saved to.

    >>> state_of(Path("runs/week.json.gz"), Part(1, 2)).as_posix()
    'runs/week.json-1-of-2.gz'
    """
    return path if part.of == 1 else path.with_stem(f"{path.stem}-{part.number}-of-{part.of}")


def live_together(script: Path, arguments: Sequence[str], of: int) -> None:
    """Run `script` with these arguments once per part, all at the same time, until all have ended.

    What they find is in their saved states. If this process is interrupted, so are they.
    """
    command = [sys.executable, str(script), *arguments]
    running = [
        subprocess.Popen([*command, "--part", str(part)], stdout=subprocess.DEVNULL) for part in parts(of)
    ]
    try:
        for one in running:
            one.wait()
    finally:
        for one in running:
            one.terminate()
            one.wait()
