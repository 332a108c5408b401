"""`flyball kill-switch`: one item that puts every client on its compiled-in defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flyball.contract import FLEET, Circuit, CircuitState
from flyball_analytics.cli.errors import BackendError
from flyball_analytics.cli.operating import Place, form_option, note, place_options, who_options
from flyball_analytics.cli.types import span
from flyball_analytics.moments import utc
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from flyball_analytics.installation import Installation

SWITCH_SCHEMA = 1
FOR_S_MIN, FOR_S_MAX = 60.0, 7 * 86_400.0  # a week: long enough to find out, too short to be forgotten
OFF_S = 3_600.0  # how long the item that switches off counts; any time would do, for its version is higher


@click.command(short_help="Put every client on its compiled-in defaults, for a time.")
@click.argument("position", type=click.Choice(["on", "off"]))
@click.option("--for", "for_s", type=span, metavar="SPAN", help="How long; default 1h, at most 7d.")
@who_options(reason_required=True)
@form_option
@place_options
def kill_switch(position: str, for_s: float | None, by: str, reason: str, form: str, place: Place) -> None:
    """Put every client on its compiled-in defaults, for a time.

    On: every client of every target ignores circuits and document within its cache
    age (5 s) and lets every call pass, with its compiled-in retries. It needs no
    controller, and ends by itself. Off: it ends now. Writes one item of the circuits'
    table, and a line of the journal if that may be written.

    \b
    example: flyball kill-switch on --for 1h --reason "INC-1234: automation is the problem"
    example: flyball kill-switch off --reason "INC-1234 is over"
    """
    if position == "off" and for_s is not None:
        raise click.UsageError("--for: off is at once")
    length_s = 3_600.0 if for_s is None else for_s
    if not FOR_S_MIN <= length_s <= FOR_S_MAX:
        raise click.UsageError("--for: must lie from 1m to 7d; switch on again to renew it")
    now_s = place.now_s()
    installation = place.open()
    item = switch(installation, on=position == "on", for_s=length_s, words=f"{by}: {reason}", now_s=now_s)
    event = f"KILL_SWITCH_{position.upper()}"
    note(installation, event, by=by, why=reason, detail=item.write_id, now_s=now_s)
    if form == "json":
        result = {
            "schema": SWITCH_SCHEMA,
            "on": position == "on",
            "until_s": item.valid_until if position == "on" else None,
            "version": item.version,
        }
        click.echo(canonical_json(result).decode())
    elif position == "on":
        click.echo(f"on until {utc(item.valid_until)}: clients are on their defaults within their cache age")
        click.echo('end it early: flyball kill-switch off --reason "..."')
    else:
        click.echo("off: clients obey circuits and document again within their cache age")


def switch(installation: Installation, *, on: bool, for_s: float, words: str, now_s: float) -> Circuit:
    """Write the item, over whatever stands there; return it.

    Raises:
        BackendError: Somebody else switched at the same moment.
        PortError: The table failed.
    """
    standing = installation.circuits.read(FLEET)
    version = max(int(now_s), standing.version + 1 if standing else 1)
    item = Circuit(
        target=FLEET,
        function=FLEET,
        state=CircuitState.FORCED_CLOSED if on else CircuitState.CLOSED,
        changed_at=now_s,
        error_count=0,
        probe_ratio=1.0,
        version=version,
        write_id=f"kill-switch-{version}",
        stamp=now_s,
        valid_until=now_s + (for_s if on else OFF_S),
        reason=words,
    )
    if not installation.circuits.publish(item):
        raise BackendError("somebody else switched at this moment; look at flyball status, then switch again")
    return item
