"""`flyball simulate`: one scenario in a closed loop, algorithm beside algorithm."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from flyball_analytics import closedloop_text as text
from flyball_analytics.algorithms import FLYBALL, STATIC, AlgorithmError, algorithm, reference_names
from flyball_analytics.arrivals import ModelError
from flyball_analytics.cli.closedloop_options import jobs_option, model_of, model_option, policy_option
from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.closedloop import Result
from flyball_analytics.codes import ErrorCode
from flyball_analytics.judge import load_known
from flyball_analytics.scenarios import Scenario
from flyball_analytics.suite import Job, run_jobs
from flyball_controller.codec import canonical_json

# The law, its client alone, the usual practice, and doing nothing: what everybody asks first.
BESIDE = (FLYBALL, STATIC, "static-3", "none")
PLOT_SUFFIXES = (".svg", ".png")
PLOTTED_MAX = 6  # lines that an eye can tell apart


@click.command(short_help="Run a scenario in a closed loop, beside reference algorithms.")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--algorithm",
    "names",
    multiple=True,
    help="Which to run; may be repeated; `all` for every reference. Default: flyball, flyball-static, "
    "static-3, none. flyball:NAME is flyball with another policy.",
)
@click.option("--seed", type=click.IntRange(0), help="Which history; default: the scenario's first.")
@policy_option
@model_option
@jobs_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: FILE.svg or FILE.png."
)
def simulate(
    scenario: Path,
    names: tuple[str, ...],
    seed: int | None,
    policy: str,
    model_pairs: tuple[str, ...],
    jobs: int,
    form: str,
    plot: Path | None,
) -> None:
    """Run a scenario in a closed loop, beside reference algorithms.

    SCENARIO is a YAML file (docs/reference/scenarios.md). Requests arrive, the real
    client decides about each, retries load the target, and the real controller step
    sees metrics and steers with the delays of production. All algorithms meet the
    same requests. Prints the measures of control quality with their units, and what
    the controller did. Only the file of --plot is written.

    \b
    example: flyball simulate scenarios/capacity-hard.yaml
    example: flyball simulate scenarios/slow-ramp.yaml --algorithm all --plot ramp.svg
    example: flyball simulate scenarios/flapping.yaml --model capacity_factor=0.5 --model period_s=10
    """
    if plot is not None and plot.suffix not in PLOT_SUFFIXES:
        raise click.BadParameter(f"{plot} must end with .svg or .png", param_hint="--plot")
    model = model_of(model_pairs)
    loaded = load_known(scenario)
    chosen = _algorithms(names, policy)
    chosen_seed = seed if seed is not None else loaded.seeds[0]
    if plot is not None and loaded.counted:
        raise InvalidError(f"{scenario}: counted minutes have no ten-second samples to plot")
    if plot is not None:
        _require_matplotlib()
    work = [
        Job(loaded, name, chosen_seed, policy=policy, model=model, sampled=plot is not None)
        for name in chosen
    ]
    found = dict(
        with_progress(run_jobs(work, workers=jobs), total=len(work), label=loaded.name, check_every=1)
    )
    results = [found[number] for number in range(len(work))]
    _show(loaded, results, chosen_seed, model, form)
    if plot is not None:
        from flyball_analytics.plot import draw

        write_whole(plot, draw(loaded, results[:PLOTTED_MAX], form=plot.suffix[1:]))
        click.echo(f"written {plot}", err=True)


def _require_matplotlib() -> None:
    """Say what to install before minutes are spent on a run whose picture cannot be drawn."""
    if find_spec("matplotlib") is None:
        raise InvalidError(
            "--plot needs the Python package 'matplotlib', which is not installed; "
            "install it with pip install 'flyball[plot]'",
            code=ErrorCode.MISSING_PACKAGE,
        )


def _algorithms(names: tuple[str, ...], policy: str) -> list[str]:
    """Return the wanted names, each once; what does not exist is the user's mistake."""
    wanted: list[str] = []
    for name in names or BESIDE:
        wanted += (FLYBALL, *reference_names()) if name == "all" else (name,)
    for name in wanted:
        try:
            algorithm(name, policy)
        except AlgorithmError as error:
            raise click.BadParameter(str(error), param_hint="--algorithm") from error
    return list(dict.fromkeys(wanted))


def _show(scenario: Scenario, results: list[Result], seed: int, model: ModelError, form: str) -> None:
    if form == "json":
        for result in results:
            click.echo(canonical_json(text.result_json(result, start_s=scenario.start_s)).decode())
        return
    click.echo(text.header(scenario, seed=seed, model=model))
    click.echo(f"\n{text.measures_table(results)}")
    for result in results:
        if result.actions:
            click.echo(f"\nwhat {result.algorithm} did:")
            click.echo(text.actions_text(result.actions, start_s=scenario.start_s))
