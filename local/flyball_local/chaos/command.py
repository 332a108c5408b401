"""`flyball chaos`: experiments on the embedded AWS, with a verdict for CI; imports late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flyball_local.chaos.experiment import Experiment

SEED_MAX = 2**31 - 1
_format = click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group(short_help="Chaos experiments without an account, with a verdict.")
def chaos() -> None:
    """Try what flyball promises while something is broken.

    Each experiment has a hypothesis, measures a steady state, breaks something
    (the target, DynamoDB, the configuration document, the controller, clocks), and
    judges what was measured during and after it. Real client, real handlers,
    embedded AWS, virtual time: no account is used and nothing is changed.

    \b
    example: flyball chaos list
    example: flyball chaos run --policy fleet.yaml
    """


@chaos.command("list", short_help="What there is to try.")
@_format
def list_(output: str) -> None:
    """Show every experiment with its hypothesis. Reads and changes nothing.

    \b
    example: flyball chaos list --format json
    """
    from flyball_local.chaos.experiments import EXPERIMENTS
    from flyball_local.chaos.report import list_json, list_text

    click.echo(list_json(EXPERIMENTS) if output == "json" else list_text(EXPERIMENTS), nl=False)


@chaos.command(short_help="Run experiments and judge them.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--policy",
    default="two-loop",
    show_default=True,
    help="Preset (two-loop, adaptive, fixed, ladder) or policy file.",
)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=1, show_default=True, help="Which run.")
@_format
@click.pass_context
def run(ctx: click.Context, names: tuple[str, ...], policy: str, seed: int, output: str) -> None:
    """Run the experiments of these NAMEs, or all, under your policy.

    Reads the policy file and nothing else. The bounds are promises of the shipped
    policy `two-loop`; another policy may break some on purpose, and the table
    says which. The same seed prints the same bytes.

    Exit code 1: a promise was broken. 4: nothing can be said, because there was
    no steady state or nothing met the fault.

    \b
    example: flyball chaos run
    example: flyball chaos run outage throttle-storm --policy fleet.yaml --format json
    """
    from flyball_analytics.cli.errors import ExitCode, InvalidError
    from flyball_analytics.cli.progress import with_progress
    from flyball_controller.core.errors import PolicyError
    from flyball_controller.policy_file import load_policy
    from flyball_local.chaos.experiment import Verdict
    from flyball_local.chaos.experiment import run as tried
    from flyball_local.chaos.report import results_json, results_text

    wanted = _wanted(names)
    try:
        policies = load_policy(policy)
    except PolicyError as error:
        raise InvalidError(str(error)) from error
    bar = with_progress(wanted, total=len(wanted), label="experiments", check_every=1)
    results = [tried(one, policies=policies, policy=policy, seed=seed) for one in bar]
    click.echo(results_json(results) if output == "json" else results_text(results), nl=False)
    verdicts = {result.verdict for result in results}
    if Verdict.BROKEN in verdicts:
        ctx.exit(ExitCode.CHECK_FAILED)
    if Verdict.INCONCLUSIVE in verdicts:
        ctx.exit(ExitCode.INCONCLUSIVE)


def _wanted(names: tuple[str, ...]) -> list[Experiment]:
    from flyball.hints import did_you_mean
    from flyball_analytics.cli.errors import InvalidError
    from flyball_local.chaos.experiments import EXPERIMENTS

    for name in names:
        if name not in EXPERIMENTS:
            guess = did_you_mean(name, EXPERIMENTS)
            raise InvalidError(f'there is no experiment "{name}"{guess}; see flyball chaos list')
    return [EXPERIMENTS[name] for name in dict.fromkeys(names)] or list(EXPERIMENTS.values())
