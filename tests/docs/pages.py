"""Reads a page of the documentation as a user does: files to save, commands to run, output to expect.

A fence after `<!-- file: NAME -->` is a file. In a `console` fence a line that
begins with `$ ` is a command, the lines below it are what it prints, `...` stands
for any lines. A fence after `<!-- not run: WHY -->` is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

FENCE = re.compile(r"(?:<!-- (?P<mark>[^>]*) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)```", re.DOTALL)


class Step(NamedTuple):
    """Something that the page asks for: save `text` as `name`, or run `command` and see `text`."""

    text: str
    name: str = ""
    command: str = ""


def steps(page: str) -> Iterator[Step]:
    """Yield what a reader is asked to do, in order."""
    for fence in FENCE.finditer(page):
        mark, body = fence["mark"] or "", fence["body"]
        if mark.startswith("file: "):
            yield Step(body, name=mark.removeprefix("file: "))
        elif fence["language"] == "console" and not mark.startswith("not run: "):
            for part in re.split(r"(?m)^\$ ", body)[1:]:
                command, _, shown = part.partition("\n")
                yield Step(shown, command=command)


def missing(shown: str, printed: str) -> str:
    """Return the first shown line that was not printed in its place; "" if all were.

    Lines between two shown ones must be announced by `...`; spaces count as one.
    A shown line may be the beginning of a printed one.
    """
    lines = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    at, gap = 0, False
    for raw in shown.splitlines():
        line = " ".join(raw.split())
        if line == "...":
            gap = True
        elif line:
            found = next((n for n in range(at, len(lines)) if lines[n].startswith(line)), -1)
            if found < 0 or (found > at and not gap):
                return line
            at, gap = found + 1, False
    return ""
