"""`flyball circuit`: an operator's hold on one target, which ends by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from flyball_analytics.cli.errors import BackendError, ExitCode, InvalidError
from flyball_analytics.cli.operating import Place, form_option, place_options, who_options
from flyball_analytics.cli.types import span
from flyball_analytics.moments import utc
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from flyball_analytics.installation import Installation

CIRCUIT_SCHEMA = 1
# What a person says, and what the override function calls it.
ACTIONS = {"hold": "freeze", "open": "open", "close": "close", "release": "release"}
EFFECTS = {
    "hold": "stays as it is",
    "open": "is refused to clients, except for probes",
    "close": "lets every call pass",
    "release": "is the controller's again",
}


@click.command(short_help="Hold, open, close or release one target, for a time.")
@click.argument("action", type=click.Choice(list(ACTIONS)))
@click.argument("target")
@click.option("--for", "for_s", type=span, metavar="SPAN", help="How long, e.g. 15m; 1 min to 1 day.")
@click.option("--direct", is_flag=True, help="Do it from here, without the override function.")
@click.option("--function", metavar="NAME", help="The override function; default: PREFIX-override.")
@who_options(reason_required=True)
@form_option
@place_options
@click.pass_context
def circuit(
    context: click.Context,
    action: str,
    target: str,
    for_s: float | None,
    direct: bool,
    function: str | None,
    by: str,
    reason: str,
    form: str,
    place: Place,
) -> None:
    """Hold, open, close or release one target, for a time.

    hold keeps what is applied now, open stops traffic, close lets all pass, release
    ends an earlier hold. It is in force for every client within its cache age (5 s),
    ends by itself after --for, and stands in the journal with --by and --reason.

    Invokes the override function; --direct writes the hold, the state and the
    circuit itself, for the day when that function is broken. Ends with 1 if clients
    are not told, because the target is in shadow or off.

    \b
    example: flyball circuit open payments --for 15m --reason "provider is down, INC-1234"
    example: flyball circuit release payments --reason "it is back"
    """
    if (for_s is None) != (action == "release"):
        words = "a release is at once" if action == "release" else "every hold ends: say for how long"
        raise click.UsageError(f"--for: {words}")
    wish: dict[str, object] = {"action": ACTIONS[action], "target": target, "by": by, "why": reason}
    if for_s is not None:
        wish["for_s"] = for_s
    installation = place.open()
    if direct:
        answer = by_hand(installation, wish, now_s=place.now_s())
    else:
        answer = invoke(installation, wish, function or f"{installation.prefix}-override")
    if form == "json":
        click.echo(canonical_json({"schema": CIRCUIT_SCHEMA, **answer}).decode())
    else:
        end = "" if action == "release" else f" until {utc(float(str(answer['until_s'])))}"
        click.echo(f"{target} {EFFECTS[action]}{end}; circuit applied: {str(answer['circuit']).lower()}")
        if not answer["effective"]:
            click.echo("it is stored, and in force from the next tick on: the round failed, see the log")
    if not answer["published"]:
        click.echo(f"flyball: {target} is in shadow or off: clients are not told", err=True)
        context.exit(ExitCode.CHECK_FAILED)


def invoke(installation: Installation, wish: Mapping[str, object], function: str) -> dict[str, Any]:
    """Return the override function's answer.

    Raises:
        InvalidError: It refused the request.
        BackendError: It failed, or could not be invoked.
    """
    from flyball_controller.aws.errors import aws_call

    with aws_call("lambda", "Invoke"):
        reply = installation.clients.functions.invoke(FunctionName=function, Payload=canonical_json(wish))
        data = reply["Payload"].read()
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    failed = reply.get("FunctionError")
    if not isinstance(answer, dict):
        raise BackendError(f"{function} answered no object: {data[:200]!r}")
    if failed and answer.get("errorType") == "InvalidOverrideError":
        raise InvalidError(str(answer.get("errorMessage")))
    if failed:
        raise BackendError(f"{function} failed: {answer.get('errorType')}: {answer.get('errorMessage')}")
    return answer


def by_hand(installation: Installation, wish: Mapping[str, object], *, now_s: float) -> dict[str, Any]:
    """Do what the override function does, from here; return its answer.

    Raises:
        InvalidError: The request cannot be obeyed.
        BackendError: The policy in force is not known here.
        PortError: The hold could not be stored.
    """
    from flyball_controller.absent import NoPublisher, NoSensor
    from flyball_controller.core.model import Reason
    from flyball_controller.overrides import InvalidOverrideError, apply_override, read_override
    from flyball_controller.round_records import Ports

    live, problem = installation.seen(now_s=now_s)
    if problem:
        click.echo(f"flyball: the document cannot be read, and will not be published: {problem}", err=True)
    publisher = installation.publisher if live is not None else None
    policies = installation.in_force(live.document if live else None).policies
    if policies is None:
        raise BackendError(
            "the policy in force is not known here: set FLYBALL_POLICY as the controllers have it"
        )
    try:
        request = read_override(dict(wish), now_s=now_s, known=frozenset())
    except InvalidOverrideError as error:
        raise InvalidError(str(error)) from error
    ports = Ports(
        sensor=NoSensor(),
        checkpoints=installation.checkpoints,
        circuits=installation.circuits,
        holds=installation.holds,
        publisher=publisher if publisher is not None else NoPublisher(),
        journal=installation.journal,
    )
    done = apply_override(request, ports=ports, policies=policies, now_s=now_s)
    for where, failure in done.errors:
        click.echo(f"flyball: {where}: {failure}", err=True)
    late = done.decision is None or any(
        note.reason == Reason.OBSERVATION_LATE for note in done.decision.evidence
    )
    return {
        "target": request.target,
        "hold": request.hold.kind.name,
        "until_s": request.hold.until_s,
        "circuit": done.decision.applied.circuit.name if done.decision else None,
        "effective": not late and not done.errors,
        "published": done.published,
    }
