"""The publisher's rules as laws over arbitrary histories, and each refusal by hand."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.aws.publish_plan import (
    COUNTED_S,
    HOLDS_MAX,
    ContentHold,
    Doubt,
    Facts,
    Intent,
    Limits,
    Plan,
    Record,
    RolledBack,
    decode_record,
    encode_record,
    hold_content,
    plan,
    recent_starts,
)

NOW = 1_700_000_000.0
LIMITS = Limits()
NOTHING = Facts(standing="", in_flight=False, latest_number=0)


def ask(
    record: Record = Record(),  # noqa: B008  (immutable)
    facts: Facts = NOTHING,
    *,
    content: str = "new",
    urgent: bool = False,
    now_s: float = NOW,
) -> Plan:
    """Ask for a plan with what does not matter filled in."""
    return plan(record, facts, content=content, urgent=urgent, now_s=now_s, limits=LIMITS)


def test_a_start_is_counted_and_noted_before_it_is_made():
    """A crash then costs a slot of the hour and never an extra deployment."""
    planned = ask(facts=Facts("old", False, 7))
    assert (planned.code, planned.pending) == ("start", False)
    assert planned.record.starts == (NOW,)
    assert planned.record.intent == Intent("new", NOW, 7)


def test_content_that_stands_is_never_deployed_again():
    """Each configuration received is paid for, by every execution environment."""
    planned = ask(facts=Facts("new", True, 7), urgent=True)
    assert (planned.code, planned.pending) == ("unchanged", False)


def test_one_deployment_at_a_time_also_for_urgent_wishes():
    """AppConfig would answer 409, whoever's the deployment is."""
    planned = ask(facts=Facts("old", True, 7), urgent=True)
    assert (planned.code, planned.pending) == ("in_flight", True)


def test_loosening_waits_for_the_gap_and_tightening_does_not():
    """A gap of 60 s spares the fleet; an incident does not wait for it."""
    record = Record(starts=(NOW - 59.0,))
    assert ask(record).code == "rate_limited"
    assert ask(record, now_s=NOW + 1.0).code == "start"
    assert ask(record, urgent=True).code == "start"


def test_the_last_three_slots_of_the_hour_are_for_tightening():
    """Nine of twelve are used: only urgent wishes pass until the oldest falls out of the count."""
    record = Record(starts=tuple(NOW - COUNTED_S + 100.0 + 100.0 * i for i in range(9)))
    assert ask(record).code == "rate_limited"
    assert ask(record, urgent=True).code == "start"
    assert ask(record, now_s=NOW + 100.0).code == "start"


def test_a_start_that_came_late_still_counts_in_its_hour():
    """Noted at 0, really started at 900 s: with twelve more until 4,500 s there would be 13 in an hour."""
    record = Record(starts=(NOW - 4_499.0, *(NOW - 900.0 + i for i in range(11))))
    assert ask(record, urgent=True).code == "rate_limited"
    assert ask(record, urgent=True, now_s=NOW + 1.0).code == "start"


def test_nothing_passes_a_full_hour():
    """Twelve deployments an hour is what the bill is planned for."""
    planned = ask(Record(starts=tuple(NOW - 1_000.0 + i for i in range(12))), urgent=True)
    assert (planned.code, planned.pending) == ("rate_limited", True)


def test_rolled_back_content_is_held_once_for_the_hold_and_no_longer():
    """A5: and seeing the same roll-back at every tick must not prolong it."""
    facts = Facts("old", False, 8, (RolledBack(8, "new"),))
    planned = ask(facts=facts, urgent=True)
    assert (planned.code, planned.pending) == ("held", True)
    assert planned.record.holds == (ContentHold("new", NOW + 3_600.0),)
    later = ask(planned.record, facts, now_s=NOW + 3_599.0)
    assert later.code == "held"
    assert later.record == planned.record
    assert ask(planned.record, facts, now_s=NOW + 3_600.0).code == "start"


def test_other_content_may_follow_a_roll_back_at_once():
    """The hold is on what failed, not on acting."""
    facts = Facts("old", False, 8, (RolledBack(8, "bad"), RolledBack(7, "")))
    planned = ask(facts=facts)
    assert planned.code == "start"
    assert planned.record.rollback_seen == 8
    assert [hold.content for hold in planned.record.holds] == ["bad"]


def test_a_noted_intent_keeps_a_second_controller_back_for_its_time():
    """Two controllers woken by one alarm must not both spend a slot; a dead one blocks for 30 s only."""
    record = Record(intent=Intent("theirs", NOW, 7), starts=(NOW,))
    facts = Facts("old", False, 7)
    assert ask(record, facts, urgent=True, now_s=NOW + 29.0).code == "in_flight"
    assert ask(record, facts, urgent=True, now_s=NOW + 30.0).code == "start"


def test_a_newer_deployment_settles_an_intent():
    """Ours or another's: the facts show it, the note has nothing to add."""
    record = Record(intent=Intent("theirs", NOW, 7), starts=(NOW - 90.0,))
    planned = ask(record, Facts("theirs", False, 8), now_s=NOW + 1.0)
    assert planned.code == "start"
    assert ask(record, Facts("theirs", False, 8), content="theirs").record.intent is None


def test_starts_from_an_impossible_future_do_not_stop_changes():
    """A broken clock wrote next year; a slightly fast one counts as now."""
    record = Record(starts=(NOW - COUNTED_S, NOW - 10.0, NOW + 5.0, NOW + 1e7))
    assert recent_starts(record, now_s=NOW) == (NOW - 10.0, NOW)


def test_a_quiet_run_leaves_the_record_as_it_is():
    """A record that changed at every tick would cost a write per minute."""
    record = Record(3, (NOW - 9_000.0,), (ContentHold("bad", NOW - 1.0),), 4, None)
    assert ask(record, Facts("new", False, 9)).record == record


def test_the_oldest_hold_gives_way():
    """The record is bounded whatever happens."""
    record = Record()
    for i in range(HOLDS_MAX + 5):
        record = hold_content(record, f"c{i}", until_s=NOW + i)
    assert len(record.holds) == HOLDS_MAX
    assert record.holds[-1].content == f"c{HOLDS_MAX + 4}"
    assert hold_content(record, "", until_s=NOW) == record
    assert hold_content(record, "c30", until_s=0.0).holds[-1] == ContentHold("c30", NOW + 30)


# --- laws ------------------------------------------------------------------------------


class Wish(NamedTuple):
    """One moment: what is wished, and what the world does."""

    wait_s: float
    content: str
    urgent: bool
    finish: bool  # the deployment in flight completes first
    roll_back: bool  # ... or is rolled back


wishes = st.lists(
    st.builds(
        Wish,
        wait_s=st.sampled_from([0.0, 1.0, 20.0, 61.0, 300.0, 1_300.0, 4_000.0]),
        content=st.sampled_from(["a", "b", "c", "d"]),
        urgent=st.booleans(),
        finish=st.booleans(),
        roll_back=st.sampled_from([False, False, False, True]),
    ),
    max_size=120,
)


class World:
    """A toy AppConfig environment that obeys every plan: one slot in flight, roll-backs, nothing else."""

    def __init__(self) -> None:
        self.now_s = NOW
        self.record = Record()
        self.standing = ["none"]  # completed contents, newest last
        self.flying: tuple[int, str] | None = None
        self.number = 0
        self.rolled_back: list[RolledBack] = []
        self.rolled_at: dict[str, float] = {}
        self.starts: list[tuple[float, bool]] = []

    def facts(self) -> Facts:
        """Return what a look would show."""
        standing = self.flying[1] if self.flying else self.standing[-1]
        return Facts(standing, self.flying is not None, self.number, tuple(self.rolled_back))

    def let_pass(self, wish: Wish) -> None:
        """Move time on, and end the deployment in flight if the wish says so."""
        self.now_s += wish.wait_s
        if self.flying is None or not wish.finish:
            return
        number, content = self.flying
        if wish.roll_back:
            self.rolled_back.append(RolledBack(number, content))
        else:
            self.standing.append(content)
        self.flying = None

    def offer(self, wish: Wish) -> Plan:
        """Ask, remember, and start if told to."""
        before = self.record.rollback_seen
        planned = ask(self.record, self.facts(), content=wish.content, urgent=wish.urgent, now_s=self.now_s)
        self.record = decode_record(encode_record(planned.record), now_s=self.now_s, limits=LIMITS)
        assert self.record == planned.record
        for rolled in self.rolled_back:
            if rolled.number > before:
                self.rolled_at[rolled.content] = self.now_s
        return planned

    def start(self, wish: Wish) -> None:
        """Carry a start out."""
        self.number += 1
        self.flying = (self.number, wish.content)
        self.starts.append((self.now_s, wish.urgent))

    def in_last_hour(self, *, urgent: bool | None = None) -> int:
        """Count starts in the hour before now."""
        return sum(
            1 for at, was in self.starts if at > self.now_s - 3_600.0 and (urgent is None or was is urgent)
        )


@given(wishes)
def test_laws_of_the_publisher(history: list[Wish]):
    """Never two in flight, over the cap, a no-op or held content; loosening never starves tightening."""
    world = World()
    for wish in history:
        world.let_pass(wish)
        facts = world.facts()
        planned = world.offer(wish)
        if planned.code == "start":
            assert not facts.in_flight
            assert wish.content != facts.standing
            assert world.in_last_hour() < LIMITS.per_h
            held_since = world.rolled_at.get(wish.content)
            assert held_since is None or world.now_s >= held_since + LIMITS.hold_s
            if not wish.urgent:
                assert world.in_last_hour() < LIMITS.per_h - LIMITS.reserve
                assert all(world.now_s - at >= LIMITS.gap_s for at, _ in world.starts)
            world.start(wish)
        elif planned.code == "rate_limited" and wish.urgent:
            # Only tightening itself can have used the slots that are kept for it.
            assert world.in_last_hour(urgent=True) >= LIMITS.reserve
        assert planned.pending == (planned.code in ("held", "in_flight", "rate_limited"))


@given(wishes)
def test_every_wish_is_carried_out_once_the_world_is_quiet(history: list[Wish]):
    """C10 for the publisher: an hour and a hold after the last disturbance, anything may be deployed."""
    world = World()
    for wish in history:
        world.let_pass(wish)
        if world.offer(wish).code == "start":
            world.start(wish)
    last = Wish(0.0, "a", urgent=False, finish=True, roll_back=False)
    world.let_pass(last)
    world.offer(last)  # absorbs what was rolled back
    world.now_s += 3_601.0
    assert world.offer(last).code in ("start", "unchanged")


# --- the stored record -------------------------------------------------------------------

records = st.builds(
    Record,
    revision=st.integers(0, 2**53),
    starts=st.lists(st.floats(0, 1e11), max_size=12).map(tuple),
    holds=st.lists(st.builds(ContentHold, st.text(max_size=5), st.floats(0, 1e11)), max_size=5).map(tuple),
    rollback_seen=st.integers(0, 10**6),
    intent=st.none() | st.builds(Intent, st.text(max_size=5), st.floats(0, 1e11), st.integers(0, 10**6)),
    published=st.text(max_size=5),
    published_version=st.integers(0, 10**6),
    edited=st.lists(st.text(max_size=5), max_size=5).map(tuple),
    doubts=st.lists(st.builds(Doubt, st.text(max_size=5), st.integers(0, 10**6)), max_size=5).map(tuple),
)


@given(records)
def test_a_record_survives_storage(record: Record):
    """What is forgotten between two runs could break a law."""
    assert decode_record(encode_record(record), now_s=NOW, limits=LIMITS) == record


@given(st.binary(max_size=60) | st.sampled_from([b"null", b"[]", b"{}", b"1e999", b"[" * 100_000]))
def test_unreadable_bytes_use_up_the_slots_for_loosening(data: bytes):
    """Total, and safe: the count is unknown, so loosening waits for all of it and tightening may go."""
    record = decode_record(data, now_s=NOW, limits=LIMITS)
    if data:
        assert ask(record).code == "rate_limited"
        assert ask(record, urgent=True).code == "start"
        assert ask(record, now_s=NOW + COUNTED_S).code == "start"
    else:
        assert record == Record()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "2"),
        ("revision", "-1"),
        ("revision", "true"),
        ("starts", '["x"]'),
        ("starts", "[1" + "0" * 400 + "]"),
        ("holds", '[["a"]]'),
        ("holds", "[[1, 2]]"),
        ("intent", "[]"),
        ("intent", '["a", 1, 1.5]'),
        ("rollback_seen", "null"),
    ],
)
def test_one_wrong_field_makes_the_record_unreadable(field: str, value: str):
    """A record half believed could exceed the cap."""
    good = {
        "schema": "1",
        "revision": "1",
        "starts": "[]",
        "holds": "[]",
        "rollback_seen": "0",
        "intent": "null",
    }
    text = ",".join(f'"{name}":{value}' for name, value in {**good, field: value}.items())
    assert len(decode_record(f"{{{text}}}".encode(), now_s=NOW, limits=LIMITS).starts) == 9
