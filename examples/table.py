"""A before/after table as text, and the options that all examples have."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence

Numbers = dict[str, float | None]  # None: it did not happen


def arguments(about: str) -> argparse.Namespace:
    """Return the options of a run: seed, and whether a program reads the result."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        "--seed", type=int, default=1, help="which run; equal seeds give equal bytes (default 1)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="a table, or numbers")
    return parser.parse_args()


def show(title: str, rows: Sequence[tuple[str, str]], before: Numbers, after: Numbers) -> str:
    """Return a table; `rows` are (key, how it is said)."""
    lines = [title, "", f"{'':44}{'before':>10}{'with flyball':>14}"]
    lines += [f"{said:44}{_number(before[key]):>10}{_number(after[key]):>14}" for key, said in rows]
    return "\n".join(lines)


def emit(form: str, text: str, result: Mapping[str, object]) -> None:
    """Write the result to stdout, in the form that was asked for."""
    sys.stdout.write(json.dumps(result, indent=1) + "\n" if form == "json" else text + "\n")


def side_by_side(
    about: str, title: str, rows: Sequence[tuple[str, str]], live: Callable[..., tuple[Numbers, list[str]]]
) -> None:
    """Run an example as it was and with flyball, and write both side by side with what was decided."""
    options = arguments(about)
    before, _ = live(seed=options.seed, with_flyball=False)
    after, decisions = live(seed=options.seed, with_flyball=True)
    told = ["", "What the controller did:", *(f"  {line}" for line in decisions)]
    text = "\n".join([show(title, rows, before, after), *told])
    emit(options.format, text, {"schema": 1, "before": before, "after": after, "decisions": decisions})


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of values, 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _number(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2f}"
