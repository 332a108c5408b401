"""Policies replayed as one do what each does alone, on every row, and part where they differ.

Here the quiet path runs uncompiled; test_fastreplay_compiled.py has the compiled one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_runs import calm, window
from fast_runs import HISTORIES, TRIED, nasty, tried
from flyball_analytics import fastreplay_loop
from flyball_analytics.fastreplay import Engine, Noted, Quick, Rows, replay_rows, run
from flyball_analytics.fastreplay_columns import History, history_of
from flyball_analytics.fastreplay_lanes import Lanes
from flyball_analytics.fastreplay_memory import LANE_FIELDS, columns_for, lanes_for, params_for
from flyball_analytics.fastreplay_together import SHARED, _Group, alike, apart, policy_of, run_together
from flyball_controller.codec import encode_state
from flyball_controller.core.model import Mode, Observation, Quality, Setpoint
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.core.state import nominal_setpoint
from strategies import POLICIES, streams, wild_observations


def told(one: Noted, nominal: Setpoint) -> tuple[object, ...]:
    """What no policy's own number is in."""
    made = one.decision
    reasons = tuple(note.reason for note in made.evidence)
    kept = (made.regime, made.applied, made.changed, made.urgent, made.state_version, made.error_count)
    return one.row, one.look, one.observation, one.before, nominal, reasons, kept


def assert_as_alone(
    history: History, policies: Sequence[Policy], advance: Callable[..., int] | None = fastreplay_loop.advance
) -> list[tuple[int, ...]]:
    """Compare every policy with its interpreted replay alone; return which went together to the end."""
    found = list(run_together(history, policies, keep=told, advance=advance))
    assert sorted(place for one in found for place in one.places) == list(range(len(policies)))
    for one in found:
        for place in one.places:
            outcome = run(history, policies[place], engine=Engine.INTERPRETED)
            nominal = nominal_setpoint(policies[place])
            assert repr(one.noted) == repr([told(noted, nominal) for noted in outcome.noted]), place
            assert encode_state(one.state) == outcome.state_bytes, place
            assert one.quiet == outcome.quiet, place
    return [one.places for one in found]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_every_policy_does_what_it_does_alone(seed):
    """Incidents, gaps, late and flagged rows; policies that differ in one to three fields."""
    source = random.Random(seed)
    base = HISTORIES[seed % len(HISTORIES)]
    policies = tried(source, base._replace(promise=list(Promise)[seed % 3]), count=7, fields=1 + seed % 3)
    assert_as_alone(history_of(nasty(source, 160), looks_s=60.0), policies)


@settings(max_examples=15)
@given(stream=streams(max_size=40), base=POLICIES, seed=st.integers(0, 1_000), compiled=st.booleans())
def test_any_stream_and_any_policies_give_what_each_gives_alone(stream, base, seed, compiled):
    """Stepped throughout, and with the quiet path over arrays."""
    policies = tried(random.Random(seed), base, count=4, fields=2)
    assert_as_alone(history_of(stream, looks_s=60.0), policies, fastreplay_loop.advance if compiled else None)


@settings(max_examples=15)
@given(stream=st.lists(wild_observations(), max_size=8), seed=st.integers(0, 1_000))
def test_no_number_at_all_breaks_it(stream, seed):
    """Histories hold what was recorded."""
    assert_as_alone(history_of(stream, looks_s=None), tried(random.Random(seed), Policy(), count=4, fields=2))


def outage() -> History:
    """Two hours of calm, a quarter of an hour of outage, an hour of calm: minutes of 600 requests."""
    return history_of([*calm(0, 120, fast=2), *calm(120, 15, fast=560), *calm(135, 60, fast=2)], looks_s=60.0)


def test_policies_whose_thresholds_nothing_comes_near_stay_one_to_the_end():
    """Forty policies at the price of one: an outage of 93 % is over each of their thresholds."""
    policies = [Policy(open_floor=0.3 + n / 200, retry_floor=0.02 + n / 1_000) for n in range(40)]
    assert assert_as_alone(outage(), policies) == [tuple(range(40))]


def test_policies_part_where_one_of_them_acts():
    """A fifth of failures is over a trip of a tenth, not of a third: from there on they learn differently."""
    stream = [*calm(0, 120, fast=2), *calm(120, 5, fast=120), *calm(125, 60, fast=2)]
    policies = [Policy(retry_adaptive=False, retry_floor=floor) for floor in (0.1, 0.33, 0.11, 0.34)]
    assert assert_as_alone(history_of(stream, looks_s=60.0), policies) == [(0, 2), (1, 3)]


@pytest.mark.parametrize("name", sorted(TRIED))
def test_every_field_is_told_apart(name):
    """In calm near each threshold: a field that the quiet path forgot would be found here."""
    source = random.Random(name)
    stream: list[Observation] = []
    for minute in range(130):
        failed = source.choice([0, 2, 2, 2, 5, 12, 17, 25, 45]) if minute % 4 else 3
        slow = source.choice([0, 0, 0, min(failed, 9), min(failed, 30)])
        stream.append(window(minute, requests=600, fast=failed - slow, timeouts=slow))
    policies = [Policy(**{name: value}) for value in TRIED[name]]
    ladder = [policy._replace(law=Law.LADDER) for policy in policies]
    assert_as_alone(history_of(stream, looks_s=60.0), [*reversed(policies), *ladder])


def test_a_run_ends_where_policies_measure_evidence_against_another_normal():
    """Six times 0.7 % is over the floor of 3 %, twice is not; the rise comes in minute 12."""
    stream = [window(minute, requests=600, fast=1 if minute < 12 else 9) for minute in range(58)]
    policies = [Policy(normal_multiple=multiple) for multiple in (1.0, 1.01, 3.0)]
    assert assert_as_alone(history_of(stream, looks_s=60.0), policies) == [(0, 1), (2,)]


@pytest.mark.parametrize("requests", [20, 600])
def test_a_window_that_only_some_call_clean_parts_them(requests):
    """15 % is under a reset point of 29 %, over one of 10 %: a clean window for two of three."""
    stream = [*calm(0, 70), *(window(m, requests=requests, fast=requests * 3 // 20) for m in range(70, 100))]
    base = Policy(retry_floor=0.2, retry_adaptive=False, reset_floor=0.25, timeout_trip=0.9)
    policies = [base._replace(reset_point=point) for point in (0.3, 0.29, 0.01)]
    groups = assert_as_alone(history_of(stream, looks_s=60.0), policies)
    assert requests == 20 or groups == [(0, 1), (2,)]


def test_a_row_in_which_they_part_is_taken_again_from_its_first_look():
    """Looks before the row have changed the state by then; they must not count twice."""
    stream = [*calm(0, 60), *calm(60, 3, fast=560), window(75, requests=600, fast=120), *calm(76, 30)]
    policies = [Policy(blind_after_s=after_s) for after_s in (300.0, 330.0, 420.0, 10_000.0)]
    groups = assert_as_alone(history_of(stream, looks_s=60.0), policies)
    assert len(groups) > 1


def test_partial_rows_do_not_hold_a_group_up():
    """Every third window comes twice: first partial, then whole."""
    stream = []
    for minute, one in enumerate(calm(0, 90, fast=3)):
        stream += [one._replace(quality=Quality.PARTIAL), one] if minute % 3 == 0 else [one]
    policies = [Policy(open_floor=floor) for floor in (0.5, 0.6, 0.7)]
    assert assert_as_alone(history_of(stream, looks_s=60.0), policies) == [(0, 1, 2)]


def test_policies_that_cannot_start_as_one_are_told_apart_at_once():
    """Another law, mode, promise or nominal setpoint is another state, or another learning."""
    policies = [
        Policy(),
        Policy(law=Law.LADDER),
        Policy(mode=Mode.SHADOW),
        Policy(promise=Promise.NONE),
        Policy(attempts_nominal=3),
        Policy(half_life_s=3_600.0),
        Policy(open_floor=0.5),
        Policy(z_open=1.0),
    ]
    assert alike(policies) == [(0, 6), (1,), (2,), (3,), (4,), (5,), (7,)]
    assert_as_alone(outage(), policies)


def test_every_field_is_shared_or_may_be_a_lane():
    """Enums have no lanes: identity and dictionaries are not seen from there."""
    members = [Policy(), Policy(open_floor=0.5, digest="x")]
    assert apart(members) == ("open_floor",)
    lanes = policy_of(members, apart(members))
    assert isinstance(lanes.open_floor, Lanes)
    assert lanes.digest == ""
    assert lanes._replace(open_floor=0.6) == Policy()
    assert policy_of([Policy(digest="x")], ()).digest == "x"
    assert set(LANE_FIELDS).isdisjoint(SHARED)
    for name in Policy._fields:
        if name not in SHARED and name != "digest":
            assert type(getattr(Policy(), name)) in (bool, int, float), name


def leaves(record: object) -> Iterator[object]:
    """Every value in nested tuples."""
    if isinstance(record, tuple):
        for value in record:
            yield from leaves(value)
    else:
        yield record


def test_no_lane_is_left_in_a_state_however_deep():
    """`whole` passes profiles over; here they are looked at too."""
    members = [Policy(open_floor=0.3 + n / 50, retry_floor=0.02 + n / 500) for n in range(5)]
    history = outage()
    group = _Group((0, 1, 2, 3, 4), members, apart(members), told)
    replay_rows(
        group,
        Rows(history),
        Quick(fastreplay_loop.advance, columns_for(history), params_for(members[0]), lanes_for(members)),
    )
    assert group.row == history.rows
    assert not any(isinstance(value, Lanes) for value in leaves(group.state))
    assert group.state == run(history, members[3], engine=Engine.INTERPRETED).state


def test_lanes_hold_each_different_set_of_thresholds_once():
    """Policies that differ in times alone need no second look at a threshold."""
    assert lanes_for([Policy(), Policy(settle_s=30.0)]) == ()
    lanes = lanes_for([Policy(), Policy(open_floor=0.5), Policy(open_floor=0.5, settle_s=30.0)])
    assert len(lanes) == 1
    assert lanes[0][LANE_FIELDS.index("open_floor")] == 0.5
    assert lanes[0][LANE_FIELDS.index("retry_adaptive")] == 1.0
