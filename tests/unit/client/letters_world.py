"""Sinks of dead letters for the tests beside this file."""

from __future__ import annotations

import asyncio

from flyball.deadletter import Letter


class Desk:
    """A sink that remembers, or fails."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.letters: list[Letter] = []
        self.error = error

    def put(self, letter: Letter) -> None:
        if self.error is not None:
            raise self.error
        self.letters.append(letter)


class AsyncDesk(Desk):
    async def put(self, letter: Letter) -> None:
        await asyncio.sleep(0)
        super().put(letter)
