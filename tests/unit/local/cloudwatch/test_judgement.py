"""Verdicts on evaluation ranges; the oracle is the two tables of the CloudWatch User Guide.

Tables and text: "Configuring how CloudWatch alarms treat missing data"
(docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html).
An earlier edition of the page has "- - - - X" as fifth row of both tables, with
INSUFFICIENT_DATA under "missing" and the state kept under "ignore"; it is held
here too, since nothing later contradicts it for 3 of 3.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_local.cloudwatch.judgement import (
    RANGE_EXTRA,
    AlarmState,
    Missing,
    Slot,
    Verdict,
    judge,
    too_few_samples,
)

OK, ALARM, UNKNOWN, KEEP = AlarmState.OK, AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA, None
ORDER = (Missing.MISSING, Missing.IGNORE, Missing.BREACHING, Missing.NOT_BREACHING)


def slots(row: str) -> list[Slot]:
    value = {"0": 0.0, "X": 9.0, "-": None}
    return [Slot(60 * i, value[c]) for i, c in enumerate(row.split())]


def verdict(row: str, missing: Missing, *, m: int, n: int = 3) -> Verdict:
    return judge(slots(row), breaches=lambda v: v > 5, periods=n, to_alarm=m, missing=missing)


# row, points that must be filled, states under missing | ignore | breaching | notBreaching
THREE_OF_THREE = [
    ("0 - X - X", 0, (OK, OK, OK, OK)),
    ("0 - - - -", 2, (OK, OK, OK, OK)),
    ("- - - - -", 3, (UNKNOWN, KEEP, ALARM, OK)),
    ("0 X X - X", 0, (ALARM, ALARM, ALARM, ALARM)),
    ("- - X - -", 2, (ALARM, KEEP, ALARM, OK)),
    ("- - - - X", 2, (UNKNOWN, KEEP, ALARM, OK)),  # earlier edition
]
TWO_OF_THREE = [
    ("0 - X - X", 0, (ALARM, ALARM, ALARM, ALARM)),
    ("0 0 X 0 X", 0, (ALARM, ALARM, ALARM, ALARM)),
    ("0 - X - -", 1, (OK, OK, ALARM, OK)),
    ("- - - - 0", 2, (OK, OK, ALARM, OK)),
    ("- - - X -", 2, (ALARM, KEEP, ALARM, OK)),
    ("- - - - X", 2, (UNKNOWN, KEEP, ALARM, OK)),  # earlier edition
]
TABLES = [(3, *row) for row in THREE_OF_THREE] + [(2, *row) for row in TWO_OF_THREE]


@pytest.mark.parametrize(("m", "row", "filled", "states"), TABLES)
def test_the_documented_tables_hold(
    m: int, row: str, filled: int, states: tuple[AlarmState | None, ...]
) -> None:
    """The only published oracle for missing data."""
    answers = [verdict(row, missing, m=m) for missing in ORDER]
    assert tuple(a.state for a in answers) == states
    assert {a.filled for a in answers} == {filled}


@pytest.mark.parametrize("row", ["- - - - X", "- - - X -"])
def test_a_first_breach_does_not_alarm_at_once(row: str) -> None:
    """Premature rule, negative side, 3 of 3: the next point may be good."""
    assert verdict(row, Missing.MISSING, m=3).state is not ALARM


@pytest.mark.parametrize("row", ["- X - - -", "X - - - -", "- X - X -", "- - X X -"])
def test_a_breach_as_old_as_m_followed_by_nothing_good_alarms(row: str) -> None:
    """Premature rule, positive side: a metric that dies while bad must not stay silent."""
    assert verdict(row, Missing.MISSING, m=3).state is ALARM


def test_one_of_one_alarms_on_its_single_point() -> None:
    """Nothing is premature when one point is enough."""
    for missing in ORDER:
        assert verdict("- - X", missing, m=1, n=1).state is ALARM
        assert verdict("- X 0", missing, m=1, n=1).state is OK


def test_a_gap_is_bridged_by_an_older_point() -> None:
    """One of one with the newest period missing looks back two periods before it fills."""
    answer = verdict("X - -", Missing.NOT_BREACHING, m=1, n=1)
    assert (answer.state, answer.filled, answer.used) == (ALARM, 0, (Slot(0, 9.0),))


@pytest.mark.parametrize(
    ("percent", "samples", "few"),
    [(99, 999, True), (99, 1000, False), (10, 99, True), (10, 100, False), (100, 9e9, True)],
)
def test_low_samples_are_judged_by_the_tail(percent: float, samples: float, few: bool) -> None:
    """10 / (1 - 0.99) = 1000 samples for p99, 10 / 0.1 = 100 for p10; p100 never has enough."""
    row = [Slot(0, 1.0, 10_000.0), Slot(60, 1.0, samples)]
    assert too_few_samples(row, percent=percent, periods=1) is few


CELLS = st.sampled_from(["0", "X", "-"])


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), st.data())
def test_verdicts_follow_the_settings_in_order(mn: tuple[int, int], data: st.DataObject) -> None:
    """Treating gaps as worse never gives a better state, and full data leave no choice."""
    n, m = mn
    row = " ".join(data.draw(st.lists(CELLS, min_size=n + RANGE_EXTRA, max_size=n + RANGE_EXTRA)))
    states = {missing: verdict(row, missing, m=m, n=n).state for missing in ORDER}
    if states[Missing.NOT_BREACHING] is ALARM:
        assert states[Missing.BREACHING] is ALARM
    if row.split().count("-") <= RANGE_EXTRA:
        assert len(set(states.values())) == 1
    if set(row.split()) == {"0"}:
        assert set(states.values()) == {OK}
    assert (states[Missing.MISSING] is UNKNOWN) <= ("0" not in row)
