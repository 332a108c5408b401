"""What detectors of values catch, how late, and how often they open for nothing; and what a point costs.

Every detector of flyball_analytics.detectors runs causally over every series, with the
same scoring: openings nearer than half an hour (or than the labels say) are one, an
incident is caught by an opening that begins inside it, healthy time is what is neither
probation, incident nor an ignored stretch. One setting for all series.

Columns: `caught` of the incidents; `delay`, the median in rows; `open/wk`, false openings
per week of healthy time of one series, with a 95 % interval from drawing whole series
again; `open %`, the share of healthy time spent open; `@1`, the best recall at one false
opening a week or less, whatever the distance of the band (chosen on these very labels).

Run: python benchmarks/bench_thresholds.py [DIRECTORY] [--quick]
Without a directory of recorded, labelled series only the synthetic set is judged.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from common import interleaved, table
from flyball_analytics.detectors import OURS, Verdict, detector_names, new_detector
from flyball_analytics.nab import NabScore, NabSeries, nab_random, nab_score, nab_windows
from flyball_analytics.score import Score, join_scores, median, score_steps
from flyball_analytics.score_interval import Piece, bootstrap_rate, healthy_pieces, join_pieces
from flyball_analytics.thresholds.firings import Row, steps_of
from flyball_controller.core.band import step
from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.band_state import BandState, Point
from thresholds_sets import Labelled, recorded, synthetic

OURS_RATIO = "level-profile-ratio"  # only for ratios; everywhere else it would say nothing
MULTIPLES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
RATE_MAX = 1.0  # false openings per week for the column @1


class Judged(NamedTuple):
    """One detector on one series."""

    series: Labelled
    rows: tuple[Row, ...]
    score: Score
    piece: Piece


def judge(series: Labelled, name: str) -> Judged:
    """Run one detector over one series and score it."""
    detector = new_detector(name, rows=len(series.rows))
    rows = []
    for at_s, value in series.rows:
        said = detector.feed(at_s, value, series.period_s)
        rows.append(_row(series, at_s, value, said))
    steps = steps_of(rows, join_s=series.join_s)
    return Judged(
        series,
        tuple(rows),
        score_steps(steps, series.labels),
        join_pieces(healthy_pieces(steps, series.labels)),
    )


def _row(series: Labelled, at_s: float, value: float, said: Verdict) -> Row:
    end_s = at_s + series.period_s
    return Row(at_s, end_s, series.period_s, value, said.firing, said.ready, said.level, said.upper)


def stretch(row: Row) -> float:
    """Return how far a value lies towards the band: 0 at the level, 1 at the band, -inf unknown."""
    if not row.ready or row.level is None or row.upper is None or math.isnan(row.value):
        return -math.inf
    if row.upper <= row.level:
        return math.inf if row.value > row.upper else 0.0
    return (row.value - row.level) / (row.upper - row.level)


def recall_at(judged: Sequence[Judged], rate: float) -> float | None:
    """Return the best recall of any distance of the band with at most `rate` false openings a week."""
    wanted = sum(len(j.series.labels.incidents) for j in judged)
    weeks = join_scores(j.score for j in judged).healthy_weeks
    if not wanted or weeks <= 0.0:
        return None
    high = [[(n, r, stretch(r)) for n, r in enumerate(j.rows) if stretch(r) > MULTIPLES[0]] for j in judged]
    best = None
    for multiple in MULTIPLES:
        caught = false = 0
        for j, rows in zip(judged, high, strict=True):
            inside, outside = _openings(j, rows, multiple)
            caught += inside
            false += outside
        if false / weeks <= rate and (best is None or caught / wanted > best):
            best = caught / wanted
    return best


def _openings(judged: Judged, rows: list[tuple[int, Row, float]], multiple: float) -> tuple[int, int]:
    """Return the incidents caught and the false openings where the band is `multiple` times as far away."""
    labels = judged.series.labels
    caught = set()
    false = 0
    open_until_s = -math.inf
    for number, row, far in rows:
        if far <= multiple:
            continue
        onset = row.start_s - open_until_s > judged.series.join_s
        open_until_s = row.start_s + row.period_s
        if not onset or number < labels.probation:
            continue
        inside = [i for i in labels.incidents if i.holds(row.start_s)]
        caught.update(inside)
        false += not inside and not labels.ignored(row.start_s)
    return len(caught), false


def show(group: str, judged: dict[str, list[Judged]], *, sweep: bool) -> None:
    """Print the table of one group of series."""
    some = next(iter(judged.values()))
    weeks = join_scores(j.score for j in some).healthy_weeks
    fitted = sum(j.series.fitted for j in some)
    part = "" if not fitted else f", {fitted} of them fitted on"
    print(f"\n{group}: {len(some)} series{part}, {weeks:.1f} healthy weeks")
    print(
        f"  {'detector':<20} {'caught':>8} {'delay':>6} {'open/wk':>8} {'95 %':>14} {'open %':>7} {'@1':>5}"
    )
    for name, of_series in judged.items():
        score = join_scores(j.score for j in of_series)
        interval = bootstrap_rate([j.piece for j in of_series])
        delay = median(i.acted_rows for i in score.incidents)
        healthy_s = score.healthy_s or math.nan
        opened = 100.0 * (score.false_restricted_s + score.tail_restricted_s) / healthy_s
        at_one = recall_at(of_series, RATE_MAX) if sweep and name != "random" else None
        print(
            f"  {name:<20} {score.caught:>4}/{len(score.incidents):<3} {_text(delay, 6, 0)}"
            f" {score.false_opens / (score.healthy_weeks or math.nan):>8.2f}"
            f" {f'{interval.low:.2f}..{interval.high:.2f}' if interval else '-':>14}"
            f" {opened:>7.2f} {_text(at_one, 5, 2)}"
        )


def _text(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def show_nab(judged: dict[str, list[Judged]]) -> None:
    """Print NAB's own score, at each rule's own band and at the best multiple, with chance beside it."""
    some = next(iter(judged.values()))
    windows = [nab_windows([r.start_s for r in j.rows], j.series.labels) for j in some]
    print(f"\nNAB's score, standard profile, {len(some)} files (for the record: 0 is silence, 100 perfect)")
    print(f"  {'detector':<20} {'own band':>9} {'best band':>10} {'windows':>8}")
    for name, of_series in judged.items():
        if name == "random":
            continue
        own = [NabSeries(tuple(map(float, _fire(j))), w) for j, w in zip(of_series, windows, strict=True)]
        best = [NabSeries(tuple(map(stretch, j.rows)), w) for j, w in zip(of_series, windows, strict=True)]
        _nab_line(name, nab_score(own, threshold=1.0), nab_score(best))
    by_lot = nab_random([NabSeries((0.0,) * len(j.rows), w) for j, w in zip(some, windows, strict=True)])
    _nab_line("random", None, by_lot)


def _fire(judged: Judged) -> list[bool]:
    return [row.firing for row in judged.rows]


def _nab_line(name: str, own: NabScore | None, best: NabScore | None) -> None:
    windows = f"{best.detected}/{best.windows}" if best else "-"
    print(f"  {name:<20} {_text(own and own.score, 9, 1)} {_text(best and best.score, 10, 1)} {windows:>8}")


def show_bars(judged: dict[str, dict[str, list[Judged]]]) -> bool:
    """Print the bars that can be checked, on series not fitted on; return whether all are met."""
    met = True
    for group, ask, check in _BARS:
        if group not in judged:
            print(f"  not checked  {group}: {ask} (no such set in the directory)")
            continue
        name = OURS_RATIO if group == "petshop/errors" else OURS
        said, ok = check([j for j in judged[group][name] if not j.series.fitted])
        met = met and ok
        print(f"  {'met' if ok else 'MISSED':<12} {group}: {ask}; {name}: {said}")
    return met


def _rates(recall_min: float, rate_max: float) -> Callable[[list[Judged]], tuple[str, bool]]:
    def check(judged: list[Judged]) -> tuple[str, bool]:
        score = join_scores(j.score for j in judged)
        rate = score.false_opens / score.healthy_weeks
        recall = score.recall if score.recall is not None else 1.0
        return f"recall {recall:.2f}, {rate:.2f} a week", recall >= recall_min and rate <= rate_max

    return check


def _few_and_fast(judged: list[Judged]) -> tuple[str, bool]:
    score = join_scores(j.score for j in judged)
    delay = median(i.acted_rows for i in score.incidents)
    recall = score.recall or 0.0
    said = f"recall {recall:.2f}, {score.false_opens} false, {_text(delay, 1, 0)} rows"
    return said, recall >= 0.75 and score.false_opens <= 1 and delay is not None and delay <= 2


def _high_errors(judged: list[Judged]) -> tuple[str, bool]:
    caught = wanted = false = 0
    for j in judged:
        false += j.score.false_opens
        height = dict(zip((i.start_s for i in j.series.labels.incidents), j.series.peaks, strict=True))
        for one in j.score.incidents:
            if height[one.incident.start_s] >= 0.05:
                wanted += 1
                caught += one.acted_rows is not None
    return f"{caught} of {wanted}, {false} false", caught == wanted and false <= 2


_CRASHES = "ms-cloud/application-crash-rate-1"
_BARS = (
    (_CRASHES, "recall >= 0.75 at <= 1.0 false openings a week", _rates(0.75, 1.0)),
    ("ms-cloud/data-ingress-rate", "hourly spikes, <= 0.3 a week", _rates(0.0, 0.3)),
    ("nezha/all", "recall >= 0.75, <= 1 false in all, <= 2 rows late", _few_and_fast),
    ("petshop/errors", "errors of 5 % and more: all caught, <= 2 false", _high_errors),
)


def cost(points: int) -> None:
    """Print nanoseconds of CPU per point and bytes of state, beside river's drift detectors and pandas."""
    series = next(s for s in synthetic() if s.group == "synthetic/hourly-batch").rows[: points + 2_000]
    warm_up, measured = series[:2_000], series[2_000:]
    warm = BandState()
    settings = BandSettings()
    for at_s, value in warm_up:
        warm, _ = step(warm, Point(at_s, 60.0, value), settings)

    def ours() -> int:
        state = warm
        for at_s, value in measured:
            state, _ = step(state, Point(at_s, 60.0, value), settings)
        return len(measured)

    def reference() -> int:
        detector = new_detector("ewma-3sd", rows=1)
        for at_s, value in measured:
            detector.feed(at_s, value, 60.0)
        return len(measured)

    variants: dict[str, Callable[[], int]] = {"EWMA + 3 sd, plain Python": reference, "flyball": ours}
    kept: dict[str, int] = {"flyball": 8 * len(list(_numbers(warm)))}
    variants.update(_peers([v for _, v in warm_up], [v for _, v in measured], kept))
    figures = interleaved(variants, rounds=5)
    table("CPU per point", figures, reference="EWMA + 3 sd, plain Python")
    print("\nBytes of state after 2,000 points (flyball: as doubles; the others: their objects)")
    for name, size in kept.items():
        print(f"  {name:<26} {size:>9,}")


def _peers(warm: list[float], values: list[float], kept: dict[str, int]) -> dict[str, Callable[[], int]]:
    """Return the peers that are installed, fed with the same values."""
    found: dict[str, Callable[[], int]] = {}
    try:
        from river import drift
    except ImportError:
        print("river is not installed (extra `bench`): its rows are left out", file=sys.stderr)
    else:
        for kind in (drift.ADWIN, drift.PageHinkley):
            found[f"river {kind.__name__}"] = _updates(kind(), values)
            filled = kind()
            for value in warm:
                filled.update(value)
            kept[f"river {kind.__name__}"] = _size(filled)
    try:
        import pandas
    except ImportError:
        print("pandas is not installed (extra `sim`): its rows are left out", file=sys.stderr)
    else:
        frame = pandas.Series([*warm, *values])

        def batch() -> int:
            window = frame.rolling(1_440)
            (window.mean() + 3.0 * window.std() < frame).sum()
            return len(frame)

        def live() -> int:
            count = min(200, len(values))
            for i in range(len(warm), len(warm) + count):
                last = frame.iloc[i - 1_440 : i]
                bool(frame.iloc[i] > last.mean() + 3.0 * last.std())
            return count

        found["pandas rolling, at once"] = batch
        found["pandas rolling, live"] = live
        kept["pandas, one day of minutes"] = int(frame.iloc[:1_440].memory_usage())
    return found


def _updates(detector: object, values: list[float]) -> Callable[[], int]:
    def work() -> int:
        fresh = type(detector)()
        for value in values:
            fresh.update(value)  # type: ignore[attr-defined]
        return len(values)

    return work


def _size(detector: object) -> int:
    """Return the bytes of everything that only this object holds; compiled parts are not seen."""
    seen: set[int] = set()
    total = 0
    todo = [detector]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        todo.extend(o for o in gc.get_referents(one) if not callable(o) and type(o).__name__ != "module")
    return total


def _numbers(value: object) -> Iterable[object]:
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    else:
        yield value


def main() -> None:
    """Judge, print, and exit 1 if a bar that could be checked is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", nargs="?", type=Path, help="recorded sets: DIRECTORY/*/labels.json")
    parser.add_argument("--quick", action="store_true", help="no column @1, no costs, no NAB files")
    asked = parser.parse_args()
    series = list(synthetic())
    if asked.directory is None or not list(asked.directory.glob("*/labels.json")):
        print(f"no */labels.json under {asked.directory}: recorded sets are skipped", file=sys.stderr)
    else:
        series += [s for s in recorded(asked.directory) if not (asked.quick and s.group.startswith("nab"))]
    groups: dict[str, dict[str, list[Judged]]] = {}
    for name in detector_names():
        print(f"{name} over {len(series)} series", file=sys.stderr)
        for one in series:
            if name == OURS_RATIO and not one.group.endswith("/errors"):
                continue
            groups.setdefault(one.group, {}).setdefault(name, []).append(judge(one, name))
    _join_kinds(groups)
    for group, judged in groups.items():
        if not group.startswith("nab"):
            show(group, judged, sweep=not asked.quick)
    nab = {
        name: [j for group, judged in groups.items() if group.startswith("nab") for j in judged.get(name, [])]
        for name in detector_names()
    }
    nab = {name: of_series for name, of_series in nab.items() if of_series}
    if nab:
        show("NAB", nab, sweep=not asked.quick)
        show_nab(nab)
    if not asked.quick:
        cost(4_000)
    print("\nBars, on series that nothing was fitted on")
    sys.exit(0 if show_bars(groups) else 1)


def _join_kinds(groups: dict[str, dict[str, list[Judged]]]) -> None:
    """Add one group for all metrics of the service that has only four."""
    parts = [judged for group, judged in groups.items() if group.startswith("nezha/")]
    if parts:
        groups["nezha/all"] = {
            name: [j for judged in parts for j in judged.get(name, [])]
            for name in detector_names()
            if name != OURS_RATIO
        }


if __name__ == "__main__":
    main()
