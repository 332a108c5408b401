"""`flyball doctor`: check this machine and what it can reach, with remedies."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flyball_analytics.cli.errors import ExitCode, InvalidError
from flyball_analytics.cli.operating import Place, form_option, place_options

if TYPE_CHECKING:
    from flyball_analytics.checkup import Finding

ASK_S = 5.0


@click.command(short_help="Check this machine and what it can reach, with remedies.")
@click.option("--map", "map_path", type=click.Path(path_type=Path), default="integrations.yaml")
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), default="policy.yaml")
@click.option("--aws", "ask_aws", is_flag=True, help="Ask AWS too: credentials, clock, tables, document.")
@form_option
@place_options
def doctor(map_path: Path, policy_path: Path, ask_aws: bool, place: Place, form: str) -> None:
    """Check this machine and what it can reach, with remedies.

    Python, optional packages, FLYBALL_* variables, the map and the policy in this
    folder; with --aws credentials, the clock, the installation's tables and document.
    Nothing is changed. Ends with 1 if something has to be mended; warnings do not count.

    \b
    example: flyball doctor
    example: flyball doctor --aws --region eu-west-1
    """
    from flyball_controller.codec import canonical_json

    found = [*_local(map_path, policy_path), *(_remote(place) if ask_aws else ())]
    bad = sum(finding.state == "fail" for finding in found)
    if form == "json":
        rows = [{**finding._asdict(), "state": finding.state.value} for finding in found]
        click.echo(canonical_json({"schema": 1, "findings": rows}).decode())
    else:
        for finding in found:
            click.echo(f"{finding.state.value:<5} {finding.check}: {finding.says}")
            if finding.remedy:
                click.echo(f"      -> {finding.remedy}")
    if bad:
        raise click.exceptions.Exit(ExitCode.CHECK_FAILED)


def _local(map_path: Path, policy_path: Path) -> list[Finding]:
    from flyball_analytics import checkup

    return [
        checkup.python_version(sys.version_info[:2]),
        *checkup.extras(lambda module: find_spec(module) is not None),
        checkup.variables(os.environ, _variables()),
        checkup.map_file(map_path),
        checkup.policy_file(policy_path),
    ]


def _variables() -> tuple[str, ...]:
    """Return every variable that some part of flyball reads."""
    from flyball_analytics.installation import OTHERS
    from flyball_controller.aws.settings import VARIABLES

    return tuple(sorted({*OTHERS, *VARIABLES}))


def _remote(place: Place) -> list[Finding]:
    from flyball_analytics import checkup

    now_s = place.now_s()
    found = checkup.identity(lambda: _caller(place), now_s=now_s)
    if any(finding.state == checkup.State.FAIL for finding in found if finding.check == "credentials"):
        return found
    try:
        installation = place.open()
    except InvalidError as error:
        remedy = "correct the variable or the option that it names"
        return [*found, checkup.Finding("installation", checkup.State.FAIL, str(error), remedy)]
    return [*found, *checkup.installed(installation, now_s=now_s)]


def _caller(place: Place) -> dict[str, Any]:
    """Ask STS who we are, with no second attempt."""
    from flyball_controller.aws.clients import Clients

    clients = click.get_current_context().find_object(Clients)
    if clients is None:
        clients = Clients(region=place.region, endpoint_url=place.endpoint_url)
    reply: dict[str, Any] = clients.checking("sts", ASK_S).get_caller_identity()
    return reply
