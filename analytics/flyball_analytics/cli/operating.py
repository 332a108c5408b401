"""What all operating commands share: which installation, who asks, what time it is, how changes are shown."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from flyball.contract import FLEET
from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock
from flyball_analytics.installation import PREFIX, AddressError, Installation, open_installation
from flyball_controller.ports import PortError

F = TypeVar("F", bound=Callable[..., Any])
WORDS_MAX = 200  # of who and why, as an override allows


class Place(NamedTuple):
    """The options that say which installation is meant, and when."""

    prefix: str
    appconfig: str | None
    region: str | None
    endpoint_url: str | None
    now: float | None

    def open(self) -> Installation:
        """Return the installation; an embedding's clients are the click context's object.

        Raises:
            InvalidError: It cannot be found by what was given.
        """
        from flyball.errors import SettingsError
        from flyball_controller.aws.clients import Clients

        try:
            return open_installation(
                os.environ,
                prefix=self.prefix,
                appconfig=self.appconfig,
                region=self.region,
                endpoint_url=self.endpoint_url,
                clients=click.get_current_context().find_object(Clients),
            )
        except (SettingsError, AddressError) as error:
            raise InvalidError(str(error)) from error

    def now_s(self) -> float:
        """Return the time of this call, epoch seconds."""
        return self.now if self.now is not None else SystemClock().now_s()


def place_options(command: F) -> F:
    """Add --prefix, --appconfig, --region, --endpoint-url and --now; the command takes `place`."""

    def wrapped(*arguments: Any, **options: Any) -> Any:
        place = Place(**{field: options.pop(field) for field in Place._fields})
        return command(*arguments, place=place, **options)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    decorated: Any = wrapped
    for option in reversed(
        (
            click.option(
                "--prefix",
                default=PREFIX,
                show_default=True,
                help="Begins the names of tables and function, unless FLYBALL_* variables name them.",
            ),
            click.option(
                "--appconfig", metavar="APP/ENV/PROFILE/STRATEGY", help="The stack's output AppConfigIds."
            ),
            click.option("--region", help="AWS region; default: boto3's own configuration."),
            click.option("--endpoint-url", metavar="URL", help="Where AWS is emulated; default: AWS itself."),
            click.option("--now", type=moment, hidden=True, help="Take this for the time (rehearsals)."),
        )
    ):
        decorated = option(decorated)
    typed: F = decorated
    return typed


def form_option(command: F) -> F:
    """Add --format text|json."""
    add = click.option(
        "--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result."
    )
    typed: F = add(command)
    return typed


def who_options(*, reason_required: bool) -> Callable[[F], F]:
    """Add --reason and --by, which are kept with what is done."""

    def add(command: F) -> F:
        decorated: Any = click.option(
            "--by", callback=_words, help="Who asks; default: the user of this machine."
        )(command)
        decorated = click.option(
            "--reason",
            required=reason_required,
            callback=_words,
            help="Why; it is kept.",
        )(decorated)
        typed: F = decorated
        return typed

    return add


def _words(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    if value is None:
        return getpass.getuser() if parameter.name == "by" else ""
    if not value.strip() or len(value) > WORDS_MAX or not value.isprintable():
        raise click.BadParameter(f"give 1 to {WORDS_MAX} printable characters")
    return value.strip()


def note(
    installation: Installation,
    event: str,
    *,
    by: str,
    why: str,
    detail: str,
    now_s: float,
    target: str = FLEET,
) -> bool:
    """Write what a person did into the journal; False, and a line on stderr, if it cannot be written.

    What was done is not undone by that: in an incident the act counts.
    """
    record = {
        "schema": 1,
        "target": target,
        "at_s": now_s,
        "sequence": 0,
        "event": event,
        "detail": detail,
        "by": by,
        "why": why,
        "trigger": "operator",
    }
    try:
        installation.journal.append([record])
    except PortError as error:
        click.echo(f"flyball: not in the journal: {error}", err=True)
        return False
    return True


def shown(value: object) -> str:
    """Return one value of a change as text.

    >>> shown(0.2), shown(None), shown("shadow"), shown(4)
    ('0.2', '-', 'shadow', '4')
    """
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names as text, cut to `most` of them.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
