"""The notebooks run, show what they say, and are the same in both of their forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
import pytest

FOLDER = Path(__file__).parents[3] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))


def run(name: str) -> dict[str, Any]:
    """Run every code cell in order, in one namespace, as a kernel would; return the namespace."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(jupytext.read(FOLDER / f"{name}.py").cells):
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{name}.py, cell {number}", "exec"), names)  # noqa: S102 - our own file
    return names


def test_there_are_notebooks() -> None:
    """An empty folder would pass every other test."""
    assert {path.stem for path in SOURCES} == {
        "choosing_a_baseline",
        "cloudwatch_history",
        "incident_review",
        "quick_replay",
        "retry_storm",
        "static_or_adaptive",
        "sweep_and_pareto",
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_both_forms_hold_the_same_cells_and_no_output(path: Path) -> None:
    """The Python file is the source; outputs would go stale and hide what a reader's own run shows."""
    paired = jupytext.read(path.with_suffix(".ipynb"))
    source = jupytext.read(path)
    assert [(cell.cell_type, cell.source) for cell in paired.cells] == [
        (cell.cell_type, cell.source) for cell in source.cells
    ]
    assert all(not cell.get("outputs") for cell in paired.cells)
    assert all(cell.get("execution_count") is None for cell in paired.cells if cell.cell_type == "code")


def test_choosing_a_baseline_learns_the_batch() -> None:
    """What the text beside its cells says: the batch is known, and the grid has a choice."""
    names = run("choosing_a_baseline")
    analysis = names["analysis"]
    assert len(analysis.results[-1].firings) < 10 < len(analysis.results[0].firings)
    assert names["curve"]["chosen"].sum() == 1
    assert analysis._repr_png_().startswith(b"\x89PNG")


def test_static_or_adaptive_moves_the_service_with_the_batch_alone() -> None:
    """10 % every hour is worth it; a quiet service and a batch under the floor are not."""
    advice = {t: a.recommendation.advice.value for t, a in run("static_or_adaptive")["analyses"].items()}
    assert advice == {
        "mail": "stay fixed",
        "orders": "move to adaptive",
        "payments": "stay fixed",
    }


def test_quick_replay_recognises_incidents() -> None:
    """It ends with a score over labelled incidents."""
    names = run("quick_replay")
    assert names["score"].recognised > 0
    assert len(names["tally"].changes) > 0


def test_cloudwatch_history_keeps_gaps_and_takes_any_frame() -> None:
    """Silence is no zero; an Arrow table is the same history as the pandas frame."""
    names = run("cloudwatch_history")
    assert len(names["series"].gaps) > 0
    assert names["same"].observations == names["series"].observations
    assert names["planned"].metrics == 80
    assert len(names["tally"].changes) > 0


def test_retry_storm_shows_that_the_answer_depends_on_what_no_recording_shows() -> None:
    """Where capacity was lost, static retries are the storm; where nodes were silent, they help."""
    lost = {(o.world.cause.value, o.algorithm): o.lost for o in run("retry_storm")["outcomes"]}
    assert lost["lost capacity", "flyball"] < lost["lost capacity", "static-3"]
    assert lost["silent nodes", "flyball"] > lost["silent nodes", "static-3"]


def test_sweep_and_pareto_ends_in_a_front_and_a_patch() -> None:
    """The ladder answers sooner, the two loops restrict less: neither beats the other."""
    names = run("sweep_and_pareto")
    assert not names["errors"]
    assert len(names["outcome"].front) == 2
    assert [point.name for point in names["front"](names["sweep"].points)] == [
        f"candidate {row.number}" for row in names["outcome"].front
    ]


def test_incident_review_explains_compares_and_makes_a_page() -> None:
    """Three incidents prove nothing, and the page says so."""
    names = run("incident_review")
    assert names["report"].verdict.value == "inconclusive"
    assert names["page"].startswith(b"<!doctype html>")
    assert names["explained"].decision.changed
