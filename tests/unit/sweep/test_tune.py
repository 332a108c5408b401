"""A study that is interrupted anywhere goes on as if nothing had happened."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flyball_analytics.space import Parameter, Space
from flyball_analytics.tune import Trial, TuneError, Tuner

SPACE = Space(
    (
        Parameter("open_floor", low=0.2, high=0.8),
        Parameter("min_requests", low=8.0, high=200.0, log=True),
        Parameter("retry_adaptive", (True, False)),
    )
)
NAMES = ("delay_s", "changes")


def tuner(folder: Path, **changes) -> Tuner:
    """Open the study of a folder."""
    given = {"space": SPACE, "objectives": NAMES, "seed": 3, "identity": ["fixed"], **changes}
    return Tuner(folder, given.pop("space"), given.pop("objectives"), **given)


def values(trial: Trial) -> list[float]:
    """Return what a trial comes to: an invented world in which the floor delays and the requests calm."""
    return [float(trial.point["open_floor"]) * 100.0, 1_000.0 / float(trial.point["min_requests"])]


def finish(study: Tuner, total: int, *, batch: int = 4) -> list[Trial]:
    """Run a study to its end; return all trials."""
    while study.told < total:
        for trial in study.ask(min(batch, total - study.told)):
            study.tell(trial, values(trial))
    return study.ended()


def test_equal_seeds_propose_equal_policies_and_others_propose_others(tmp_path, whole):
    """Ten blind trials, then six that learned."""
    for name, seed in (("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        again = finish(tuner(tmp_path / name, seed=seed), 16 if seed == 3 else 4)
        assert (again == whole[: len(again)]) is (seed == 3)
    assert [trial.number for trial in whole] == list(range(16))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[Trial]:
    """A study that nobody interrupted."""
    return finish(tuner(tmp_path_factory.mktemp("whole")), 16)


@pytest.mark.parametrize("told", [0, 3])
def test_a_study_that_was_killed_ends_as_if_it_had_not_been(tmp_path, whole, told):
    """Killed after 8 trials, in a batch of four of which some were told: the others are proposed again."""
    study = tuner(tmp_path)
    finish(study, 8)
    batch = study.ask(4)
    for trial in batch[:told]:
        study.tell(trial, values(trial))
    del study
    resumed = tuner(tmp_path)
    assert resumed.told == 8 + told
    # What was proposed is finished before anything is proposed on top of it.
    for trial in resumed.ask(4 - told):
        resumed.tell(trial, values(trial))
    assert finish(resumed, 16) == whole


def test_a_proposal_torn_by_a_crash_is_thrown_away(tmp_path):
    """A trial in the journal without all of its fields cannot be run."""
    import optuna

    tuner(tmp_path)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.jsonl"))
    )
    optuna.load_study(study_name="flyball", storage=storage).ask()
    (trial,) = tuner(tmp_path).ask(1)
    assert trial.number == 1
    assert len(trial.point) == len(SPACE.parameters)
    assert tuner(tmp_path).told == 1


def test_every_proposal_is_a_value_of_its_field(whole):
    """Whole where the field is whole, within its bounds, and with four digits."""
    for trial in whole:
        floor, requests, adaptive = (trial.point[one.field] for one in SPACE.parameters)
        assert isinstance(floor, float)
        assert 0.2 <= floor <= 0.8
        assert float(f"{floor:.4g}") == floor
        assert isinstance(requests, int)
        assert 8 <= requests <= 200
        assert isinstance(adaptive, bool)


def test_the_search_goes_where_it_pays(tmp_path):
    """The last twelve of thirty are nearer to the front's lower floors than blind ones."""
    trials = finish(tuner(tmp_path, space=Space(SPACE.parameters[:2])), 30)
    blind = [values(trial) for trial in trials[:10]]
    learned = [values(trial) for trial in trials[18:]]

    def beaten(rows, by) -> float:
        return sum(any(a[0] <= r[0] and a[1] <= r[1] for a in by) for r in rows) / len(rows)

    assert beaten(blind, learned) > beaten(learned, blind)


def test_a_trial_that_is_no_policy_ends_and_teaches_nothing(tmp_path):
    """Else it would be proposed for ever."""
    study = tuner(tmp_path)
    (trial,) = study.ask(1)
    study.tell(trial, None)
    assert study.told == 1
    assert study.ended() == [trial]


@pytest.mark.parametrize(
    "changes",
    [{"seed": 4}, {"objectives": ("delay_s", "cost_usd")}, {"identity": ["two-loop"]},
     {"space": Space(SPACE.parameters[:2])}],
)  # fmt: skip
def test_the_study_of_another_search_is_not_continued(tmp_path, changes):
    """Its figures do not compare with ours."""
    finish(tuner(tmp_path), 4)
    with pytest.raises(TuneError, match="holds the study of another search"):
        tuner(tmp_path, **changes)


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    """`flyball sweep` needs nothing."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TuneError, match=r"flyball\[tune\]"):
        tuner(tmp_path)
