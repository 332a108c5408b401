"""A search comes out the same whatever ran it and however often it was interrupted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from flyball_analytics.executors import Done, Task, new_executor, perform
from flyball_analytics.executors.inline import InlineExecutor
from flyball_analytics.shards import ShardError
from flyball_analytics.shards_figures import Part
from flyball_analytics.sweep import Candidate, Search, candidate_at, candidates_at, drive
from flyball_analytics.sweep_holdout import HoldoutError, holdout_of
from flyball_analytics.sweep_store import Attempt, Store, read_summary
from flyball_controller.core.errors import PolicyError
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import load_preset
from sweep_runs import history, labels

POINTS = [{"open_floor": floor} for floor in (0.25, 0.35, 0.45)]


class Failing:
    """An executor in which chosen shards fail for some attempts, and everything else is done here."""

    ships = False

    def __init__(self, fails: dict[str, int]) -> None:
        self.fails = dict(fails)
        self.tried: list[str] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        for task in tasks:
            self.tried.append(task.key)
            if self.fails.get(task.key, 0) > 0:
                self.fails[task.key] -= 1
                yield Done(task.key, None, "OSError: disk full")
            else:
                yield perform(task)

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *_: object) -> None:
        return


def search_in(folder: Path, *, batch: int = 2) -> tuple[Search, list[str]]:
    """Return a search over two services, and its shards."""
    search = Search(Store(folder), batch=batch)
    search.add_history(history("pay", minutes=130), labels())
    search.add_history(history("cart", minutes=140), labels())
    candidates, _ = candidates_at(load_preset("fixed"), iter(POINTS))
    return search, search.add_candidates(candidates)


def run(search: Search, keys: list[str], executor=None) -> dict[str, str]:
    """Drive all shards; return the errors."""
    errors: dict[str, str] = {}
    settled = list(drive(keys, search.store, executor or InlineExecutor(), now_s=lambda: 5.0, errors=errors))
    assert sorted(settled) == sorted(keys)
    return errors


def test_the_policy_in_force_has_a_shard_of_its_own(tmp_path):
    """A policy that crashes must not take the reference along: 1 + ceil(3 / 2) shards per service."""
    search, keys = search_in(tmp_path)
    assert len(keys) == 2 * (1 + 2)
    assert [work.candidates for work in search.works] == [(0,), (0,), (1, 2), (1, 2), (3,), (3,)]


@pytest.mark.parametrize(("executor", "batch"), [("inline", 1), ("inline", 50), ("processes:2", 2)])
def test_the_outcome_is_the_same_for_every_executor_and_batch(tmp_path, batch, executor):
    """The figures are sums in the order of the sources, whatever order the shards came in."""
    first, keys = search_in(tmp_path / "a")
    run(first, keys)
    other, keys = search_in(tmp_path / "b", batch=batch)
    with new_executor(executor) as used:
        run(other, keys, used)
    assert other.measured() == first.measured()
    assert len(first.measured().measured) == 4


def test_what_is_done_is_never_done_again(tmp_path):
    """A restarted run finds its results by their content."""
    search, keys = search_in(tmp_path)
    run(search, keys)
    again, same = search_in(tmp_path)
    idle = Failing({})
    run(again, same, idle)
    assert same == keys
    assert idle.tried == []


def test_a_torn_or_exchanged_result_is_made_again(tmp_path):
    """Whatever lies there: only a result that names its shard is believed."""
    search, keys = search_in(tmp_path)
    run(search, keys)
    before = search.measured()
    first, second = (tmp_path / "results" / f"{key}.json" for key in keys[:2])
    first.write_bytes(first.read_bytes()[:20])
    second.write_bytes((tmp_path / "results" / f"{keys[2]}.json").read_bytes())
    counted = Failing({})
    run(search, keys, counted)
    assert sorted(counted.tried) == sorted(keys[:2])
    assert search.measured() == before


def test_a_shard_that_fails_is_tried_twice_more(tmp_path):
    """A full disk or a lost worker passes; the third attempt is the last."""
    search, keys = search_in(tmp_path)
    flaky = Failing({keys[0]: 2})
    assert run(search, keys, flaky) == {}
    assert flaky.tried.count(keys[0]) == 3
    noted = [one for one in search.store.attempts() if one.key == keys[0]]
    assert noted == [
        Attempt(keys[0], 1, 5.0, "OSError: disk full"),
        Attempt(keys[0], 2, 5.0, "OSError: disk full"),
        Attempt(keys[0], 3, 5.0, ""),
    ]


def test_a_poison_shard_is_listed_and_its_candidates_are_dropped(tmp_path):
    """Candidate 3 has no figure for one service: its sums would be over another history."""
    search, keys = search_in(tmp_path)
    (poison,) = [work.key for work in search.works if work.candidates == (3,) and work.source == 1]
    errors = run(search, keys, Failing({poison: 99}))
    assert errors == {poison: "OSError: disk full"}
    tally = search.measured()
    assert [one.candidate.number for one in tally.measured] == [0, 1, 2]
    assert (tally.dropped, tally.left_out) == ((3,), ())
    (listed,) = search.poison(errors)
    assert (listed.source, listed.error) == ("cart", "OSError: disk full")


def test_a_history_that_cannot_be_run_at_all_is_left_out_for_everybody(tmp_path):
    """Without the policy in force nothing there can be compared."""
    search, keys = search_in(tmp_path)
    cart = {work.key: 99 for work in search.works if work.source == 1}
    run(search, keys, Failing(cart))
    tally = search.measured()
    assert (tally.left_out, tally.dropped) == (("cart",), ())
    assert [one.candidate.number for one in tally.measured] == [0, 1, 2, 3]
    assert tally.measured[0].fit.recorded_s == 130 * 60.0


def test_a_poison_shard_is_given_another_chance_by_the_next_run(tmp_path):
    """The disk may have been emptied in between."""
    search, keys = search_in(tmp_path)
    run(search, keys, Failing({keys[1]: 99}))
    assert run(search, keys) == {}
    assert search.measured().dropped == ()


def test_a_journal_torn_by_a_crash_can_be_read_and_continued(tmp_path):
    """The next line begins a line of its own."""
    store = Store(tmp_path)
    assert list(store.attempts()) == []
    store.note(Attempt("a", 1, 1.0, ""))
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"key":"b","att')
    store.note(Attempt("c", 1, 2.0, "E"))
    assert list(store.attempts()) == [Attempt("a", 1, 1.0, ""), Attempt("c", 1, 2.0, "E")]


def test_only_a_result_of_its_shard_is_kept(tmp_path):
    """An executor that mixes results up must be found out at once."""
    with pytest.raises(ShardError):
        Store(tmp_path).add_result("a" * 32, b'{"shard":"b","schema":1,"policies":[]}')


def test_a_folder_without_an_outcome_says_so(tmp_path):
    """The report asks for it by this name."""
    with pytest.raises(FileNotFoundError):
        read_summary(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(ShardError):
        read_summary(tmp_path)


# --- candidates -------------------------------------------------------------------------


def test_a_target_s_own_setting_stays_its_own():
    """As in a policy file: defaults are changed, exceptions win."""
    text = b"version: 1\npreset: fixed\ntargets:\n  pay: {open_floor: 0.8}\n  cart: {z_act: 3.0}\n"
    policies = parse_policy(text, where="p.yaml")
    one = candidate_at(policies, 1, {"open_floor": 0.5, "z_act": 2.5})
    assert one.policies.default.open_floor == 0.5
    assert (one.policies.targets["pay"].open_floor, one.policies.targets["pay"].z_act) == (0.8, 2.5)
    assert (one.policies.targets["cart"].open_floor, one.policies.targets["cart"].z_act) == (0.5, 3.0)


def test_points_that_are_no_policies_or_no_others_are_left_out():
    """open_floor 0.6 is the preset's own value; a retry floor over it breaks a rule."""
    base = load_preset("two-loop")
    points = [{"open_floor": 0.6}, {"retry_floor": 0.7}, {"open_floor": 0.5}, {"open_floor": 0.5}]
    found, refused = candidates_at(base, iter(points))
    assert [one.number for one in found] == [0, 1]
    assert found[1].point == {"open_floor": 0.5}
    assert refused == ["retry_floor must not exceed open_floor: act on retries before cutting traffic"]
    with pytest.raises(PolicyError):
        candidate_at(base, 1, {"retry_floor": 0.7})


# --- what is held out -------------------------------------------------------------------


def test_services_that_are_held_out_are_judged_and_not_fitted(tmp_path):
    """Every figure of a held-out service stands on the held side, none of another does."""
    search = Search(Store(tmp_path))
    for name, minutes in (("a", 130), ("b", 140)):
        search.add_history(history(name, minutes=minutes), labels())
    holdout = holdout_of("services:0.5", ["a", "b"], seed=0)
    search.hold_out(holdout)
    run(search, search.add_candidates([Candidate(0, {}, load_preset("fixed"))]))
    (one,) = search.measured().measured
    minutes = {"a": 130, "b": 140}
    (held,) = holdout.services
    (fitted,) = set(minutes) - holdout.services
    assert one.held.recorded_s == 60.0 * minutes[held]
    assert one.fit.recorded_s == 60.0 * minutes[fitted]
    assert len(one.held.delays_s) == len(one.fit.delays_s) == 1


def test_without_a_holdout_the_held_side_is_empty(tmp_path):
    """Then there is nothing to judge by, and the text says so."""
    search, keys = search_in(tmp_path)
    run(search, keys)
    assert {one.held for one in search.measured().measured} == {Part()}


@pytest.mark.parametrize(
    ("text", "targets", "services", "ratio"),
    [
        ("none", 9, 0, 0.0),
        ("auto", 4, 0, 0.3),
        ("auto", 5, 2, 0.0),  # 30 % of five are 1.5: two
        ("services", 10, 3, 0.0),
        ("services:0.99", 2, 1, 0.0),  # one must be left to fit to
        ("days:0.25", 9, 0, 0.25),
    ],
)
def test_what_is_held_out_is_what_was_asked_for(text, targets, services, ratio):
    """Ratios are of services or of days, rounded up, never all."""
    found = holdout_of(text, [f"s{n}" for n in range(targets)], seed=1)
    assert (len(found.services), found.days_ratio) == (services, ratio)


@pytest.mark.parametrize("text", ["days:0", "days:1", "weeks:0.3", "none:0.3", "services:x", ""])
def test_a_holdout_that_cannot_be_is_refused(text):
    """E.g. all days, or a word that nobody knows."""
    with pytest.raises(HoldoutError):
        holdout_of(text, ["a", "b"], seed=0)


def test_one_service_cannot_be_split_by_services():
    """The remedy is named."""
    with pytest.raises(HoldoutError, match=r"days:0\.3"):
        holdout_of("services:0.3", ["a"], seed=0)


def test_a_further_service_moves_few_others_between_the_sides():
    """Else a fleet that grows would be judged by other services every week."""
    names = [f"s{n}" for n in range(20)]
    before = holdout_of("services:0.3", names, seed=3).services
    after = holdout_of("services:0.3", [*names, "new"], seed=3).services
    assert len(before & after) >= 5
    assert holdout_of("services:0.3", names, seed=4).services != before
