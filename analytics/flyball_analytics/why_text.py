"""An explained decision as text, Markdown and plain values. Computes nothing; words come from wording.py."""

from __future__ import annotations

import base64
from typing import NamedTuple

from flyball_analytics.moments import span_words, utc
from flyball_analytics.why import Counterfactual, Why
from flyball_analytics.wording import (
    CIRCUIT_WORDS,
    REGIME_WORDS,
    action,
    confidence,
    percent,
    reasons,
    sentence,
)
from flyball_controller.codec import encode_state, observation_to_json
from flyball_controller.core.guardrails import hold_is_active
from flyball_controller.core.model import Mode, Observation, Quality

SCHEMA = 1
LABEL_WIDTH = 11
_QUALITY_WORDS = {
    Quality.OK: "",
    Quality.PARTIAL: ", still arriving",
    Quality.MISSING: ", a look that found no data",
    Quality.INVALID: ", impossible numbers",
    Quality.PROBED: ", checks by the probe function",
}


class Told(NamedTuple):
    """An explanation with where it was found. `reproduced`: None = not asked."""

    why: Why
    decision_id: str
    place: str
    policy_name: str
    note: str  # what the reader asked for, where it is not exactly this
    again: str  # the command that reproduces it
    reproduced: bool | None
    difference: str


def lines_of(told: Told) -> list[tuple[str, str]]:
    """Return (label, text) lines; a label may come several times."""
    why = told.why
    before, decision = why.before, why.decision
    lines = [("asked", told.note)] if told.note else []
    did = action(before.law.applied, decision.applied)
    lines.append(("did", did if decision.changed else f"{did}: {_setpoint(why)} stays"))
    if decision.proposed != decision.applied:
        lines.append(("wanted", action(before.law.applied, decision.proposed)))
    lines.append(("regime", f"{REGIME_WORDS[before.law.regime]} -> {REGIME_WORDS[decision.regime]}"))
    lines += [("because", sentence(item)) for item in decision.evidence]
    lines.append(("seen", seen_words(why.seen)))
    lines += [("held", text) for text in _held(why)]
    lines += [("before", text) for text in _before(why)]
    lines += [("otherwise", text) for text in _otherwise(why)]
    if told.reproduced is not None:
        same = "byte for byte the same record" if told.reproduced else f"NOT the same: {told.difference}"
        lines.append(("reproduced", same))
    lines.append(("again", told.again))
    return lines


def _setpoint(why: Why) -> str:
    applied = why.decision.applied
    circuit = CIRCUIT_WORDS[applied.circuit]
    return f"{applied.max_attempts} attempts, budget {applied.budget_ratio:g}, circuit {circuit}"


def seen_words(seen: Observation) -> str:
    """Return an observation in words: when, how many, which failures, how slow."""
    head = f"window {_when(seen.start_s)} ({span_words(seen.period_s)}){_QUALITY_WORDS[seen.quality]}"
    if seen.quality in (Quality.MISSING, Quality.INVALID):
        return head
    ratio = f" ({percent(seen.failures / seen.requests)})" if seen.requests > 0 else ""
    kinds = f"{seen.timeouts} time-outs, {seen.errors_fast} fast, {seen.throttles} throttles"
    parts = [f"{seen.requests} requests, {seen.failures} failed{ratio}: {kinds}"]
    if seen.attempts > 0:
        parts.append(f"{seen.attempts} attempts")
    if seen.request_failures >= 0:
        parts.append(f"{seen.request_failures} failed for good")
    if seen.short_circuited > 0:
        parts.append(f"{seen.short_circuited} refused by clients")
    if seen.latency_ms_p99 >= 0.0:
        parts.append(f"p99 {seen.latency_ms_p99:.0f} ms")
    return f"{head}: {'; '.join(parts)}"


def _when(moment_s: float) -> str:
    """Return a moment as text; impossible numbers, which a journal may hold, as they are."""
    try:
        return utc(moment_s)
    except (ValueError, OverflowError, OSError):
        return f"{moment_s:g}"


def _held(why: Why) -> list[str]:
    if why.held is None:
        return []
    trips = why.held.trips
    return [
        f"normal here is {percent(why.held.expected_ratio)} failures ({confidence(why.held.confidence)})",
        (
            f"retries act over {percent(trips.retry)}, circuits open over {percent(trips.open)}, "
            f"time-outs mean saturation over {percent(trips.timeout)}, "
            f"clean under {percent(trips.reset_point)}"
        ),
    ]


def _before(why: Why) -> list[str]:
    """Return what the state before adds: memory of the law, operator and fleet."""
    state, at_s = why.before, why.decision.at_s
    law = state.law
    row = f"{law.clean_count} clean and {law.bad_count} bad windows in a row"
    told = [f"{_since(law.changed_s, at_s, 'last changed')}, {row}"]
    if law.hold_factor > 1:
        told.append(
            f"trouble came back soon: loosening waits for {law.hold_factor} times as many clean windows"
        )
    if hold_is_active(state.hold, at_s):
        told.append(f"held by {state.hold.by} until {utc(state.hold.until_s)}: {state.hold.why}")
    if not state.open_allowed:
        told.append("the fleet's share of open circuits is used up: this one may not open")
    if at_s < state.loosen_frozen_until_s:
        told.append(f"loosening is frozen for the whole fleet until {utc(state.loosen_frozen_until_s)}")
    if why.policy.mode is not Mode.ACTIVE:
        told.append(f"mode {why.policy.mode.name.lower()}: nothing reaches the clients")
    return told


def _since(moment_s: float, at_s: float, what: str) -> str:
    return f"never {what}" if moment_s < 0.0 else f"{what} {span_words(at_s - moment_s)} ago"


def _otherwise(why: Why) -> list[str]:
    if why.held is None:
        return ["the window carries no counts: no number of failures in it could have changed anything"]
    told = [_counterfactual(why, one) for one in (why.fewer, why.more) if one is not None]
    missing = [word for word, one in (("fewer", why.fewer), ("more", why.more)) if one is None]
    if len(missing) == 2:
        return ["no number of failures in this window would have changed what was done"]
    return told + [f"no {word} failures would have changed what was done" for word in missing]


def _counterfactual(why: Why, one: Counterfactual) -> str:
    about = "" if one.exact else "about "
    word = "more" if one.change > 0 else "fewer"
    done = action(why.before.law.applied, one.decision.applied)
    kind = {"errors_fast": "fast errors", "timeouts": "time-outs", "throttles": "throttles"}[one.kind]
    return (
        f"{about}{abs(one.change)} failures {word} ({one.failures} of {why.seen.requests}, {kind} varied): "
        f"{done}; {reasons(one.decision.evidence[:1])}"
    )


def told_text(told: Told) -> str:
    """Return the explanation for a terminal."""
    head = f"{told.decision_id}, decided {utc(told.why.decision.at_s)}, policy {_policy(told)}"
    lines = [head, f"  {'from':<{LABEL_WIDTH}}{told.place}"]
    last = ""
    for label, text in lines_of(told):
        shown = "" if label == last else label
        lines.append(f"  {shown:<{LABEL_WIDTH}}{text}")
        last = label
    return "\n".join(lines)


def _policy(told: Told) -> str:
    return f"{told.policy_name} ({told.why.policy.digest})"


def told_markdown(told: Told) -> str:
    """Return the explanation as Markdown, for an incident's notes."""
    head = f"**{told.decision_id}**, decided {utc(told.why.decision.at_s)}, policy {_policy(told)}"
    return "\n".join([head, "", *(f"- {label}: {_plain(text)}" for label, text in lines_of(told))])


def _plain(text: str) -> str:
    """Return text that Markdown leaves alone."""
    return text.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


def told_json(told: Told) -> dict[str, object]:
    """Return everything, with the inputs that reproduce the decision."""
    why = told.why
    return {
        "schema": SCHEMA,
        "decision": told.decision_id,
        "place": told.place,
        "at_s": why.decision.at_s,
        "note": told.note,
        "policy": told.policy_name,
        "policy_hash": why.policy.digest,
        "did": action(why.before.law.applied, why.decision.applied),
        "changed": why.decision.changed,
        "before": why.before.law.applied,
        "applied": why.decision.applied,
        "proposed": why.decision.proposed,
        "regime_before": why.before.law.regime,
        "regime": why.decision.regime,
        "because": [sentence(item) for item in why.decision.evidence],
        "evidence": list(why.decision.evidence),
        "observation": observation_to_json(why.seen),
        "state": base64.b64encode(encode_state(why.before)).decode("ascii"),
        "held": None
        if why.held is None
        else {
            "expected_ratio": why.held.expected_ratio,
            "confidence": why.held.confidence,
            **{f"trip_{name}": value for name, value in why.held.trips._asdict().items()},
        },
        "otherwise": [_counterfactual_json(why, one) for one in (why.fewer, why.more) if one is not None],
        "reproduced": told.reproduced,
        "difference": told.difference,
        "again": told.again,
    }


def _counterfactual_json(why: Why, one: Counterfactual) -> dict[str, object]:
    return {
        "change": one.change,
        "failures": one.failures,
        "class": one.kind,
        "exact": one.exact,
        "did": action(why.before.law.applied, one.decision.applied),
        "applied": one.decision.applied,
        "regime": one.decision.regime,
        "because": [sentence(item) for item in one.decision.evidence],
    }
