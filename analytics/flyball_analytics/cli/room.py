"""What commands do about the room in the configuration document: refuse what does not fit, warn before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flyball_analytics.cli.errors import ExitCode, FlyballError
from flyball_analytics.codes import ErrorCode

if TYPE_CHECKING:
    from flyball_controller.document_room import Room


class TooLargeError(FlyballError):
    """A document that no client would accept."""

    exit_code = ExitCode.CHECK_FAILED
    usual = ErrorCode.TOO_LARGE


def check_room(room: Room, *, where: str) -> None:
    """Refuse a document that nobody could publish; warn on stderr of one that nearly is.

    Raises:
        TooLargeError: It is too large.
    """
    if not room.fits:
        raise TooLargeError(f"{where}: {room.sentence()}")
    if room.tight:
        click.echo(f"flyball: warning: {where}: {room.sentence()}", err=True)
