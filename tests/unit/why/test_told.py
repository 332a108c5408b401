"""What an explanation says about state, operator, fleet and mode: each only where it matters."""

from __future__ import annotations

from core_runs import T0, calm, run, window
from flyball_analytics.why import why
from flyball_analytics.why_text import Told, lines_of, seen_words, told_json, told_text
from flyball_controller.core.model import Mode, Observation, Quality
from flyball_controller.policy_set import load_preset

POLICY = load_preset("two-loop").default
LEARNED, _ = run(calm(-600, 600), POLICY)
NEVER = -1.0


def told(seen: Observation, *, state=LEARNED, policy=POLICY, note: str = "", reproduced=None) -> Told:
    """An explanation without a place."""
    return Told(why(state, seen, policy), "t@1", "here", "two-loop", note, "again", reproduced, "field x")


def texts(one: Told, label: str) -> list[str]:
    """The texts under one label."""
    return [text for found, text in lines_of(one) if found == label]


def test_a_window_is_said_with_everything_that_was_measured_and_nothing_else() -> None:
    """Attempts, requests lost for good, refused calls and p99 only where they are known."""
    seen = window(0, timeouts=30, short=60, failed=12)
    words = seen_words(seen)
    assert "600 requests, 30 failed (5 %): 30 time-outs, 0 fast, 0 throttles" in words
    assert "630 attempts; 12 failed for good; 60 refused by clients; p99 200 ms" in words
    bare = Observation("t", T0, 60.0, T0 + 60.0)
    assert seen_words(bare).endswith("0 requests, 0 failed: 0 time-outs, 0 fast, 0 throttles")


def test_a_window_without_counts_is_said_as_what_it_is() -> None:
    """A look, or impossible numbers: then there is nothing to count, and nothing would have changed it."""
    missing = told(window(0)._replace(quality=Quality.MISSING))
    assert texts(missing, "seen")[0].endswith(", a look that found no data")
    assert texts(missing, "held") == []
    assert texts(missing, "otherwise") == [
        "the window carries no counts: no number of failures in it could have changed anything"
    ]
    assert seen_words(window(0)._replace(quality=Quality.INVALID)).endswith(", impossible numbers")
    for start_s in (float("nan"), 1e300):
        broken = told(window(0)._replace(start_s=start_s))
        assert f"window {start_s:g} (" in texts(broken, "seen")[0]
    assert ", still arriving: 600 requests" in seen_words(window(0)._replace(quality=Quality.PARTIAL))
    assert told_json(missing)["held"] is None


def test_a_late_window_is_beyond_all_counts() -> None:
    """It was not judged: neither fewer nor more."""
    late = told(window(-3, fast=600))
    assert texts(late, "otherwise") == [
        "no number of failures in this window would have changed what was done"
    ]


def test_what_the_fleet_forbids_is_told() -> None:
    """Wanted beside allowed, and the two limits of the fleet while they hold."""
    state, _ = run([window(m, fast=590) for m in range(3)], POLICY, LEARNED)
    barred = state._replace(open_allowed=False, loosen_frozen_until_s=T0 + 9_999.0)
    one = told(window(3, fast=600), state=barred)
    before = texts(one, "before")
    assert "the fleet's share of open circuits is used up: this one may not open" in before
    assert any(text.startswith("loosening is frozen for the whole fleet until 2023-11-") for text in before)
    calm_before = texts(told(window(3, fast=600), state=state), "before")
    assert len(calm_before) == 1
    assert "last changed 3 min ago" in calm_before[0]


def test_a_wish_that_was_cut_stands_beside_what_was_done() -> None:
    """A frozen target keeps its setpoint whatever the law wants."""
    from flyball_controller.core.model import Hold, HoldKind

    held = LEARNED._replace(hold=Hold(HoldKind.FREEZE, T0 + 9_999.0, "ann", "deploying"))
    one = told(window(0, fast=600), state=held)
    assert texts(one, "wanted") == ["retry budget 0.2 -> 0"]
    assert texts(one, "did")[0].startswith("no change: ")


def test_a_mode_in_which_nothing_reaches_the_clients_is_said() -> None:
    """Shadow decides and does not act."""
    shadow = POLICY._replace(mode=Mode.SHADOW)
    assert "mode shadow: nothing reaches the clients" in texts(told(window(0), policy=shadow), "before")


def test_an_inexact_distance_says_about() -> None:
    """Beyond a thousand not every count was tried."""
    more = texts(told(window(0, requests=100_000)), "otherwise")
    assert more[0].startswith("about ")
    assert "failures more (" in more[0]


def test_a_reproduction_is_said_either_way_and_labels_are_not_repeated() -> None:
    """Same or not the same; and in text a label stands once."""
    assert "byte for byte the same record" in told_text(told(window(0), reproduced=True))
    text = told_text(told(window(0), reproduced=False, note="asked for"))
    assert "NOT the same: field x" in text
    assert "asked      asked for" in text
    assert text.count("\n  held ") == 1
