"""Replay over recorded CloudWatch metrics with labelled faults, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball_analytics.labels import labels_for, read_labels
from flyball_analytics.replay import replay_series
from flyball_analytics.score import join_scores, score_steps
from flyball_analytics.series import read_csv
from flyball_analytics.tally import Tally
from flyball_controller.policy_set import load_preset

# Data are not part of the repository (licences differ); they lie beside a checkout where they lie at all.
DATA = Path(__file__).parents[4] / "shared" / "data" / "petshop"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="recorded data are not at hand")


def test_hard_faults_are_answered_at_once_and_busy_targets_are_left_alone() -> None:
    """PetShop of Amazon, 5-minute rows: a fault over 10 % of the requests is recognised within one row.

    The busy targets (70 or more requests a row) see no false open and at most two false actions in 1.4 weeks.
    """
    labels = read_labels(DATA / "labels.json")
    policy = load_preset("two-loop").default
    scores = []
    hard = 0
    for path in sorted(DATA.glob("*.error_ratio.csv")):
        series = read_csv(path)
        assert series.problems == ()
        assert series.gaps == ()
        if sum(o.requests for o in series.observations) < 70 * len(series.observations):
            continue
        tally = Tally(policy, keep_steps=True)
        for replayed in replay_series(series, policy=policy):
            tally.add(replayed)
        truth = labels_for(labels, file_name=path.name, target=series.target, path="labels.json")
        score = score_steps(tally.steps_by_window(), truth)
        scores.append(score)
        worst = {o.start_s: o.failures / o.requests for o in series.observations if o.requests}
        for one in score.incidents:
            inside = [r for at_s, r in worst.items() if one.incident.start_s <= at_s <= one.incident.end_s]
            if max(inside) >= 0.10:
                hard += 1
                assert one.recognised_rows is not None, (series.target, one)
                assert one.recognised_rows <= 1
    total = join_scores(scores)
    assert hard == 7
    assert total.false_opens == 0
    assert total.false_actions <= 2
