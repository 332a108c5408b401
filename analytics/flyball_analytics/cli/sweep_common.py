"""What `flyball sweep` and `flyball tune` share: options, histories, executor and output."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from flyball_analytics.cli.closedloop_options import cores
from flyball_analytics.cli.errors import BackendError, ExitCode, InconclusiveError, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.histories import label_file, labels_of, metric_files
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import pair, span
from flyball_analytics.clock import SystemClock
from flyball_analytics.executors import ExecutorError, new_executor
from flyball_analytics.judge import load_known
from flyball_analytics.problems import SeriesError
from flyball_analytics.series import read_series
from flyball_analytics.space import Space, SpaceError, grid_option, read_space
from flyball_analytics.sweep import BATCH, Search, drive
from flyball_analytics.sweep_holdout import HoldoutError, holdout_of
from flyball_analytics.sweep_objectives import DEFAULTS, Objective, Prices
from flyball_analytics.sweep_outcome import Ask, Outcome, outcome_json
from flyball_analytics.sweep_patch import evidence, patch_text
from flyball_analytics.sweep_store import Store
from flyball_analytics.sweep_text import outcome_text
from flyball_controller.codec import canonical_json

F = TypeVar("F", bound=Callable[..., Any])
PLOT_SUFFIXES = (".svg", ".png")

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.argument("files", nargs=-1, required=True, metavar="HISTORY...", type=_FILE),
    click.option("--policy", default="two-loop", show_default=True, help="In force: a preset or a file."),
    click.option("--space", "space_file", type=_FILE, help="YAML file: which fields vary, and how far."),
    click.option("--grid", "grids", multiple=True, metavar="FIELD=A,B,C", help="A field and its values."),
    click.option("--labels", type=_FILE, help="JSON file with the true incidents."),
    click.option("--objective", "names", multiple=True, type=click.Choice([o.value for o in Objective]),
                 help="What to have little of. Default: delay_s, false_open_min, changes; lost_min with a "
                 "scenario."),
    click.option("--holdout", default="auto", show_default=True,
                 help="What is not searched on: services:R, days:R, none; auto: services if there are five."),
    click.option("--scenario", "scenarios", multiple=True, type=_FILE,
                 help="Also run this scenario in the closed loop, for lost_min; may be repeated."),
    click.option("--environments", type=click.IntRange(1), default=Prices().environments, show_default=True,
                 help="Execution environments that receive each change, for cost_usd."),
    click.option("--lost-usd", type=click.FloatRange(0.0), default=0.0, show_default=True,
                 help="What a minute of one service's refused traffic costs, for cost_usd."),
    click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
                 help="Decides drawn points and held-out services."),
    click.option("--executor", default="inline", show_default=True,
                 help="inline, processes[:N], dask[:N], or a Dask scheduler's address; same results."),
    click.option("--out", type=_FILE, help="Folder for results; run again with it to continue."),
    click.option("--choose", type=click.IntRange(0), help="Take this candidate of the front."),
    click.option("--patch", type=_FILE, help="Write the chosen policy to this YAML file."),
    click.option("--plot", type=_FILE, help="Draw the front: FILE.svg or FILE.png."),
    click.option("--target", help="Only this target of a history, or the name of the rows of a file."),
    click.option("--column", "columns", type=pair, multiple=True, help="Which column carries a field."),
    click.option("--period", "period_s", type=span, help="Length of a window; default: the commonest."),
    click.option("--delay", "delay_s", type=span, help="How long after its end a window could be read."),
    click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True),
)  # fmt: skip


class Request(NamedTuple):
    """The shared options of one call, by their names."""

    files: tuple[Path, ...]
    policy: str
    space_file: Path | None
    grids: tuple[str, ...]
    labels: Path | None
    names: tuple[str, ...]
    holdout: str
    scenarios: tuple[Path, ...]
    environments: int
    lost_usd: float
    seed: int
    executor: str
    out: Path | None
    choose: int | None
    patch: Path | None
    plot: Path | None
    target: str | None
    columns: tuple[tuple[str, str], ...]
    period_s: float | None
    delay_s: float | None
    form: str

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What to have little of, each once."""
        wanted = [Objective(name) for name in self.names] or list(DEFAULTS)
        if not self.names and self.scenarios:
            wanted.append(Objective.LOST_MIN)
        return tuple(dict.fromkeys(wanted))

    @property
    def prices(self) -> Prices:
        """What the cost is made of."""
        return Prices(self.environments, self.lost_usd)


def search_options(command: F) -> F:
    """Give a command the shared options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_request(request: Request) -> None:
    """Refuse what cannot work before minutes are spent on it.

    Raises:
        click.UsageError: Options that contradict each other.
    """
    if Objective.LOST_MIN in request.objectives and not request.scenarios:
        raise click.UsageError("lost_min needs a closed loop: name one with --scenario FILE")
    if Objective.DELAY_S.value in request.names and request.labels is None:
        raise click.UsageError("delay_s needs the true incidents: give --labels FILE")
    if request.plot is not None and request.plot.suffix not in PLOT_SUFFIXES:
        raise click.BadParameter(f"{request.plot} must end with .svg or .png", param_hint="--plot")


def space_of(request: Request) -> Space:
    """Return the space of --space and --grid; a field of --grid replaces that of the file.

    Raises:
        SpaceError: If one of them is wrong.
    """
    given = grid_option(request.grids)
    if request.space_file is None:
        if not given.parameters:
            raise click.UsageError("say what may vary: --space FILE, or --grid FIELD=A,B,C")
        return given
    try:
        data = request.space_file.read_bytes()
    except OSError as error:
        raise SpaceError(f"cannot be read: {error.strerror}", where=str(request.space_file)) from error
    fields = {one.field for one in given.parameters}
    listed = read_space(data, file=str(request.space_file)).parameters
    return Space((*(one for one in listed if one.field not in fields), *given.parameters))


@contextmanager
def folder_of(request: Request) -> Iterator[Store]:
    """Give the run's folder: that of --out, or one that is removed at the end."""
    if request.out is not None:
        yield Store(request.out)
        return
    with tempfile.TemporaryDirectory(prefix="flyball-") as name:
        yield Store(Path(name))


def search_of(request: Request, store: Store, *, batch: int = BATCH) -> tuple[Search, str]:
    """Return the search with its histories and scenarios, and in words what is held out.

    One history is in memory at a time. Without --delay the arrivals are as recorded, and
    no clock decides which rows count: a search must come out the same tomorrow.
    """
    search = Search(store, batch=batch)
    known = label_file(request.labels)
    paths = metric_files(request.files, request.target)
    for path in with_progress(paths, total=len(paths), label="read", check_every=1):
        try:
            series = read_series(
                path,
                target=request.target,
                columns=dict(request.columns),
                period_s=request.period_s,
                delay_s=request.delay_s,
            )
        except SeriesError as error:
            if path in request.files or len(paths) == 1:
                raise
            click.echo(f"skipped {error}", err=True)
            continue
        labels = None
        if request.labels is not None:
            labels = labels_of(known, path, series.target, file=request.labels)
            if labels is None:
                continue
        search.add_history(series, labels)
    if not search.sources:
        labelled = "" if request.labels is None else f" with labels in {request.labels}"
        raise InvalidError(f"none of the files is a metric history{labelled}")
    try:
        holdout = holdout_of(request.holdout, [one.name for one in search.sources], seed=request.seed)
    except HoldoutError as error:
        raise click.BadParameter(str(error), param_hint="--holdout") from error
    search.hold_out(holdout)
    for path in request.scenarios:
        scenario = load_known(path)
        search.add_scenario(path.name, path.read_bytes(), scenario.seeds)
    return search, holdout.words


def run_shards(request: Request, search: Search, keys: Sequence[str], label: str) -> dict[str, str]:
    """Run the shards on the executor; return the errors of those that could not be run."""
    errors: dict[str, str] = {}
    try:
        with new_executor(request.executor, cores=cores()) as executor:
            settled = drive(keys, search.store, executor, now_s=SystemClock().now_s, errors=errors)
            for _ in with_progress(settled, total=len(keys), label=label, check_every=1):
                pass
    except ExecutorError as error:
        if error.lost:
            raise BackendError(str(error)) from error
        raise click.BadParameter(str(error), param_hint="--executor") from error
    return errors


def ask_of(request: Request, holdout: str) -> Ask:
    """Return what is wanted of the results."""
    return Ask(request.objectives, request.prices, holdout, request.choose)


def finish(context: click.Context, request: Request, search: Search, outcome: Outcome) -> None:
    """Write the outcome, the patch and the picture; end with 4 if nothing could be compared."""
    plain = outcome_json(outcome)
    search.store.write_summary(plain)
    click.echo(canonical_json(plain).decode() if request.form == "json" else outcome_text(outcome))
    for one in outcome.poison:
        click.echo(f"could not be run: {one.source}, shard {one.key[:12]}: {one.error}", err=True)
    if not outcome.base.fit:
        raise InconclusiveError(
            "no objective can be shown: every history is left out, or has no healthy time and no incident"
        )
    if request.patch is not None:
        lines = evidence(outcome.base, outcome.chosen, tried=len(outcome.rows), left_out=outcome.left_out)
        write_whole(request.patch, patch_text(request.policy, outcome.changed, lines).encode())
        click.echo(f"written {request.patch}; look at it, then: flyball validate {request.patch}", err=True)
    if request.plot is not None:
        from flyball_analytics.sweep_plot import draw_front

        write_whole(request.plot, draw_front(outcome, form=request.plot.suffix[1:]))
        click.echo(f"written {request.plot}", err=True)
    if Objective.DELAY_S in request.objectives and request.labels is not None and not outcome.incidents[0]:
        click.echo("flyball: no labelled incident lies in the fitted history", err=True)
        context.exit(ExitCode.INCONCLUSIVE)
