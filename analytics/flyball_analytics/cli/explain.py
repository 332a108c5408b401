"""`flyball explain`: what a reason, an exit code or a hazard means."""

from __future__ import annotations

import click

from flyball_analytics.cli.errors import MEANINGS, ExitCode, InvalidError
from flyball_analytics.problems import did_you_mean
from flyball_analytics.wording import WORDS
from flyball_controller.core.model import Reason


@click.command(short_help="Say what a reason, exit code or hazard means.")
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a reason, exit code or hazard means.

    CODE is a reason as it stands in the journal, by name or by number, an exit code
    written as exit-2, or a hazard of `flyball assess`. Without CODE reasons and exit
    codes are listed. Nothing is read and
    nothing is changed.

    \b
    example: flyball explain ERROR_RATE_OVER_TRIP
    example: flyball explain exit-4
    """
    if code is None:
        for reason in Reason:
            click.echo(f"{reason.value:>3}  {reason.name}")
        for exit_code in ExitCode:
            click.echo(f"exit-{exit_code.value}  {exit_code.name}")
        return
    word = code.strip().upper().replace("-", "_")
    if word.startswith("EXIT_") and word[5:].isdigit() and int(word[5:]) in {e.value for e in ExitCode}:
        exit_code = ExitCode(int(word[5:]))
        click.echo(f"exit code {exit_code.value}, {exit_code.name}\n  {MEANINGS[exit_code]}")
        return
    names = {reason.name: reason for reason in Reason} | {str(reason.value): reason for reason in Reason}
    if word not in names:
        from flyball_analytics.assess.hazards import ABOUT  # reads the map's records: only if asked for

        hazards = {kind.value.upper().replace("-", "_"): kind for kind in ABOUT}
        if word in hazards:
            click.echo(f"hazard {hazards[word]}, found by flyball assess\n  {ABOUT[hazards[word]]}")
            return
        known = [*names, *(f"EXIT_{e.value}" for e in ExitCode), *hazards]
        raise InvalidError(
            f'there is no reason or exit code "{code}", and no hazard{did_you_mean(word, known)}; '
            "`flyball explain` lists all",
        )
    reason = names[word]
    words = WORDS[reason]
    click.echo(f"reason {reason.value}, {reason.name}\n  {words.meaning}\n  said as: {words.sentence}")
