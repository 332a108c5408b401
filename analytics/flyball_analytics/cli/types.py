"""Option values that are moments, spans or FIELD=COLUMN pairs; a wrong one is a usage error (exit code 2)."""

from __future__ import annotations

import click

from flyball_analytics.moments import MomentError, parse_moment, parse_span


def moment(text: str) -> float:
    """Return the epoch seconds of ISO 8601 or an epoch number; without a zone it is UTC."""
    try:
        return parse_moment(text)
    except MomentError as error:
        raise click.BadParameter(str(error)) from error


def span(text: str) -> float:
    """Return the seconds of 60s, 5m, 1h or 2d."""
    try:
        return parse_span(text)
    except MomentError as error:
        raise click.BadParameter(str(error)) from error


def pair(text: str) -> tuple[str, str]:
    """Return field and column of FIELD=COLUMN."""
    field, equals, column = text.partition("=")
    if not (field and equals and column):
        raise click.BadParameter(f"{text!r} is not FIELD=COLUMN: write it like requests=Invocations")
    return field.strip(), column.strip()
