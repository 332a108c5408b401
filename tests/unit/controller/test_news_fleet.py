"""What the fleet's guardrails hold back for hours is told when it begins, once an hour, and when it ends."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from core_runs import T0, calm, window
from flyball_analytics.journalfile import check_journal
from flyball_controller.core.fleet import FleetState
from flyball_controller.core.model import Decision, Observation, Reason, Regime
from flyball_controller.fakes import memory_ports
from flyball_controller.fleet_book import FLEET_KEY
from flyball_controller.fleet_codec import encode_fleet
from flyball_controller.loop import Remembered, Trigger, run_once
from flyball_controller.policy_set import load_preset
from journal_runs import entries

POLICIES = load_preset("two-loop")
SHARE, FREEZE = Reason.OPEN_SHARE_LIMITED, Reason.CORRELATED_FAILURE_FREEZE
DAY = 1_440
# Three of ten targets may be open; with four it is one, because one always may.
FOUR = ("a", "b", "c", "d")
WEATHER = [
    window(0, fast=590), window(0, fast=590), window(0, fast=200), window(0, timeouts=300), window(0),
    window(0), window(0, throttles=300), window(0, requests=8, fast=8), None,
]  # fmt: skip

Weather = Callable[[str, int], Observation | None]


class Fleet:
    """Some targets over in-memory ports; `weather` says what each of them shows in a minute."""

    def __init__(
        self, weather: Callable[[str, int], Observation | None], names: tuple[str, ...] = FOUR
    ) -> None:
        self.weather = weather
        self.names = names
        self.past = [seen._replace(target=name) for name in names for seen in calm(-120, 120)]
        self.ports = memory_ports()
        self.cache: dict[str, Remembered] | None = {}
        self.decisions: list[Decision] = []
        self.policies = POLICIES

    def look(self, minute: int, *, names: tuple[str, ...] | None = None, after_s: float = 80.0) -> None:
        """One round over the targets, or some of them, this long after the minute's begin."""
        sensor = self.ports.sensor
        seen = {name: self.weather(name, minute) for name in self.names}
        sensor.windows = [one._replace(target=name) for name, one in seen.items() if one is not None]
        sensor.past = self.past if minute == 0 else []
        now_s = T0 + 60.0 * minute + after_s
        report = run_once(
            names or self.names, ports=self.ports, policies=self.policies, now_s=now_s,
            trigger=Trigger("tick", "test"), cache=self.cache, fleet=self.names,
        )  # fmt: skip
        assert report.errors == ()
        self.decisions += report.decisions

    def told(self, target: str, reason: Reason) -> list[int]:
        """Minutes whose record of this target gives this reason."""
        return [
            int((float(str(record["at_s"])) - T0 - 80.0) / 60.0)
            for record in self.ports.journal.records
            if record["target"] == target and reason.name in str(record["evidence"])
        ]


def dead(name: str, minute: int) -> Observation:
    """Nearly every call fails, all day long."""
    return window(minute, fast=590)


def test_a_day_in_which_the_whole_fleet_is_dead_leaves_a_record_per_hour():
    """A target that the fleet's share keeps closed wrote its state each minute: 1,440 a day, 7 kB each."""
    fleet = Fleet(dead)
    for minute in range(DAY):
        fleet.look(minute)
    # a opens at minute 3 (the promise asks for four windows) and the others are told at once that it has.
    hours = [60 * hour for hour in range(1, 24)]
    assert fleet.told("a", SHARE) == []
    assert [fleet.told(name, SHARE) for name in "bcd"] == [[3, *hours]] * 3
    # Beside these only what changed: all retries at minute 0, the circuit of a at minute 3.
    assert Counter(record["changed"] for record in fleet.ports.journal.records) == {False: 3 * 24, True: 5}


@pytest.mark.parametrize("cached", [True, False])
def test_silent_looks_neither_hide_the_beginning_nor_tell_it_again(cached):
    """Alarms wake the controller between two windows, in a process that knows nothing of the tick's."""
    fleet = Fleet(dead)
    fleet.cache = {} if cached else None
    for minute in range(90):
        fleet.look(minute)
        fleet.look(minute, names=("b",), after_s=95.0)
        fleet.look(minute, names=("c", "d"), after_s=110.0)
    assert [fleet.told(name, SHARE) for name in "bcd"] == [[3, 60]] * 3


def test_a_verdict_that_a_silent_look_brings_is_still_a_beginning():
    """The share was taken after b's last window and before its next: that one is the first to meet it."""
    late: set[str] = set()
    fleet = Fleet(lambda name, minute: None if name in late else window(minute, fast=590))
    for minute in range(3):
        fleet.look(minute)
    fleet.look(3, names=("a",))
    late.add("b")
    fleet.look(3, names=("b",), after_s=90.0)
    late.clear()
    for minute in range(3, 30):
        fleet.look(minute, after_s=100.0)
    assert [fleet.told(name, SHARE) for name in "abc"] == [[], [3], [3]]


def test_a_share_that_binds_no_longer_is_told():
    """Too little traffic to open for, whatever the fleet allows: another reason, so it is another fact."""
    few_from = 20
    fleet = Fleet(lambda name, minute: window(minute, requests=600 if minute < few_from else 6, fast=6)
                  if minute >= few_from else window(minute, fast=590))  # fmt: skip
    for minute in range(60):
        fleet.look(minute)
    (over,) = fleet.told("b", Reason.TRAFFIC_TOO_LOW_TO_OPEN)
    assert over > few_from
    assert fleet.told("b", SHARE) == [3]


def frozen_fleet(*, minutes: int, hold_periods: int = 2) -> Fleet:
    """One target that recovers from minute 2 on, while others fail together until that minute."""
    fleet = Fleet(lambda name, minute: window(minute, timeouts=300 if minute < 2 else 0), ("a",))
    fleet.policies = POLICIES._replace(default=POLICIES.default._replace(hold_periods=hold_periods))
    for minute in range(2):
        fleet.look(minute)
    stored = fleet.ports.checkpoints.items[FLEET_KEY]
    frozen = encode_fleet(FleetState(frozen_until_s=T0 + 60.0 * minutes))
    fleet.ports.checkpoints.items[FLEET_KEY] = stored._replace(data=frozen)
    for minute in range(2, minutes + 5):
        fleet.look(minute)
    return fleet


def test_a_freeze_that_lasts_is_told_at_first_and_once_an_hour():
    """Others keep failing together for hours, so that a healthy target must not loosen."""
    fleet = frozen_fleet(minutes=150)
    # The change decided at 1:20 has settled 90 s later: minute 3 is the first to begin after that.
    assert fleet.told("a", FREEZE) == [3, 60, 120]
    # The window of minute 149 is the first to be seen after the end, and the hold has long been served.
    last = fleet.ports.journal.records[-1]
    assert (last["at_s"], last["changed"]) == (T0 + 60.0 * 149 + 80.0, True)


def test_the_end_of_a_freeze_is_told_even_if_nothing_changes_yet():
    """The hold goes on: what keeps the target back from then on is its own record, not the others'."""
    fleet = frozen_fleet(minutes=6, hold_periods=5)
    assert fleet.told("a", FREEZE) == [3]
    assert fleet.told("a", Reason.WAITING_FOR_HOLD) == [5]


def remembered(decisions: list[Decision]) -> list[tuple[str, float]]:
    """What should be told, worked out with a memory: (target, time) of every decision that is news.

    Only where no window is partial, impossible or late, and nobody holds anything.
    """
    told: list[tuple[str, float]] = []
    regimes: dict[str, Regime] = defaultdict(lambda: Regime.NOMINAL)
    said: dict[str, set[Reason]] = defaultdict(set)
    stamps: dict[str, float] = defaultdict(lambda: -1.0)
    for decision in decisions:
        name = decision.target
        silent = decision.evidence[0].reason == Reason.OBSERVATION_MISSING
        now = {item.reason for item in decision.evidence} & {SHARE, FREEZE}
        moved = decision.changed or decision.regime != regimes[name]
        another_hour = stamps[name] // 3_600.0 != decision.stamp_s // 3_600.0
        if moved or (not silent and (now != said[name] or (now and another_hour))):
            told.append((name, decision.at_s))
        regimes[name] = decision.regime
        if not silent:
            # A change asks a new question: what the windows before it showed is not judged any more.
            said[name], stamps[name] = set() if decision.changed else now, decision.stamp_s
    return told


@pytest.mark.parametrize("seed", range(8))
def test_what_is_read_off_the_state_is_what_a_memory_would_have_known(seed):
    """Any weather, looks without data in between: no beginning and no end is lost, nothing is told twice."""
    draw = random.Random(seed)
    skies = {name: draw.choice(WEATHER) for name in "abcdef"}

    def weather(name: str, minute: int) -> Observation | None:
        if draw.random() < 0.2:
            skies[name] = draw.choice(WEATHER)
        sky = skies[name]
        start_s = T0 + 60.0 * minute
        return sky and sky._replace(start_s=start_s, arrived_s=start_s + 80.0)

    fleet = Fleet(weather, tuple("abcdef"))
    for minute in range(150):
        fleet.look(minute)
        fleet.look(minute, names=(draw.choice("abcdef"),), after_s=100.0)
    records = fleet.ports.journal.records
    assert {SHARE.name, FREEZE.name} <= {e["reason"] for r in records for e in r["evidence"]}
    got = [(record["target"], record["at_s"]) for record in records]
    wanted = remembered(fleet.decisions)
    assert got == wanted, set(got) ^ set(wanted)


def test_a_journal_without_repetitions_reproduces_its_decisions_byte_for_byte():
    """Each record carries the state before it: what was not told leaves no gap that matters."""
    fleet = Fleet(dead)
    for minute in range(130):
        fleet.look(minute)
    check = check_journal(entries(fleet.ports.journal.records), POLICIES.for_target)
    assert (check.mismatched, check.unchained, check.events) == (0, 0, 0)
    assert check.records == check.reproduced == 5 + 3 * 3
