"""`flyball validate`: check a policy file before it reaches production."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import click

from flyball_analytics.cli.files import write_whole
from flyball_controller.codec import canonical_json
from flyball_controller.core.policy import Policy
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import compile_set


@click.command(short_help="Check a policy file and show what it sets.")
@click.argument("policy")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result."
)
@click.option(
    "--compile",
    "compiled",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the checked policy as the JSON that Lambda loads.",
)
def validate(policy: str, form: str, compiled: Path | None) -> None:
    """Check a policy file and show what it sets.

    POLICY is a YAML file, a compiled JSON file or the name of a preset (two-loop,
    adaptive, fixed, ladder). An error names file, line, field, value, bound and
    remedy, and ends with exit code 2. Only the file of --compile is written.

    \b
    example: flyball validate payments.yaml
    example: flyball validate payments.yaml --compile policy.json
    """
    policies = load_policy(policy)
    if compiled is not None:
        write_whole(compiled, compile_set(policies))
        click.echo(f"written {compiled}", err=True)
    if form == "json":
        document = {
            "name": policies.name,
            "hash": policies.hash,
            "default": policies.default,
            "targets": dict(policies.targets),
        }
        click.echo(canonical_json(document).decode())
        return
    click.echo(
        f"{policy}: valid, {len(policies.targets)} targets with settings of their own ({policies.hash})"
    )
    _show("defaults", policies.default, Policy())
    for name, special in sorted(policies.targets.items()):
        _show(name, special, policies.default)


def _show(name: str, policy: Policy, base: Policy) -> None:
    """Write what a policy sets differently from `base`."""
    different = [
        f"{field} {_word(getattr(base, field))} -> {_word(getattr(policy, field))}"
        for field in Policy._fields
        if field != "digest" and getattr(policy, field) != getattr(base, field)
    ]
    click.echo(f"  {name}: {'; '.join(different) or 'as shipped'}")


def _word(value: object) -> str:
    return value.name.lower() if isinstance(value, IntEnum) else f"{value}"
