"""`flyball explain`: what a reason, an error, an exit code or a hazard means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import click

from flyball.hints import did_you_mean
from flyball_analytics.cli.errors import MEANINGS, ExitCode, InvalidError
from flyball_analytics.cli.operating import form_option
from flyball_analytics.codes import ABOUT as ERRORS
from flyball_analytics.codes import ErrorCode
from flyball_analytics.wording import WORDS
from flyball_controller.core.model import Reason


class Meaning(NamedTuple):
    """What one code means. `number`: another way to ask for it, "" if there is none."""

    kind: str
    code: str
    number: str
    meaning: str
    more: str = ""

    @property
    def title(self) -> str:
        """How it is called above its meaning."""
        if self.kind == "hazard":
            return f"hazard {self.code}, found by flyball assess"
        number = f"{self.number}, " if self.number else ""
        return f"{self.kind} {number}{self.code}"


@click.command(short_help="Say what a reason, error, exit code or hazard means.")
@click.argument("code", required=False)
@form_option
def explain(code: str | None, form: str) -> None:
    """Say what a reason, error, exit code or hazard means.

    CODE is a reason as it stands in the journal, by name or by number, the word in
    brackets behind an error, an exit code written as exit-2, or a hazard of `flyball
    assess`. Without CODE all are listed. Nothing is read and nothing is changed.

    \b
    example: flyball explain ERROR_RATE_OVER_TRIP
    example: flyball explain unknown-key
    example: flyball explain exit-4
    """
    from flyball_controller.codec import canonical_json

    known = list(meanings())
    if code is None:
        if form == "json":
            click.echo(canonical_json({"schema": 1, "codes": [one._asdict() for one in known]}).decode())
            return
        for one in known:
            asked = f"exit-{one.number}" if one.kind == "exit code" else one.number
            click.echo(f"{one.kind:<9} {asked:>7}  {one.code}")
        return
    found = _found(code, known)
    if form == "json":
        click.echo(canonical_json({"schema": 1, **found._asdict()}).decode())
        return
    click.echo(f"{found.title}\n  {found.meaning}" + (f"\n  {found.more}" if found.more else ""))


def meanings() -> Iterator[Meaning]:
    """Yield everything that can be explained: reasons, errors, hazards, exit codes."""
    from flyball_analytics.assess.hazards import ABOUT as HAZARDS  # reads the map's records: only here

    for reason in Reason:
        words = WORDS[reason]
        yield Meaning("reason", reason.name, str(reason.value), words.meaning, f"said as: {words.sentence}")
    for error in ErrorCode:
        yield Meaning("error", error.value, "", ERRORS[error].meaning, ERRORS[error].remedy)
    for kind, text in HAZARDS.items():
        yield Meaning("hazard", kind.value, "", text)
    for exit_code in ExitCode:
        yield Meaning("exit code", exit_code.name, str(exit_code.value), MEANINGS[exit_code])


def _found(code: str, known: list[Meaning]) -> Meaning:
    """Return what a word means; case, hyphens and underscores do not matter."""
    word = _plain(code)
    by_word: dict[str, Meaning] = {}
    for one in known:
        if one.kind == "exit code":
            by_word[f"EXIT_{one.number}"] = one
            continue
        by_word[_plain(one.code)] = one
        if one.number:
            by_word[one.number] = one
    if word in by_word:
        return by_word[word]
    raise InvalidError(
        f'there is no reason or exit code "{code}", no error and no hazard{did_you_mean(word, by_word)}; '
        "`flyball explain` lists all",
        code=ErrorCode.UNKNOWN_NAME,
    )


def _plain(word: str) -> str:
    return word.strip().strip("[]").upper().replace("-", "_")
