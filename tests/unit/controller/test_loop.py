"""One round of control over in-memory ports: order of effects, races, lost replies, blind sensors, holds."""

from __future__ import annotations

import json

from core_runs import T0, calm, window
from flyball.contract import CircuitState
from flyball_controller.codec import decode_state, encode_state, policy_digest
from flyball_controller.core import initial_state
from flyball_controller.core.model import Hold, HoldKind, Mode
from flyball_controller.core.policy import Policy
from flyball_controller.fakes import memory_ports
from flyball_controller.loop import Ports, Remembered, RunReport, Trigger, run_once
from flyball_controller.policy_set import PolicySet, load_preset

TICK = Trigger("tick", "test")
# The promise on false opens asks for four windows like these; retries are off after the first.
OUTAGE = [window(minute, fast=590) for minute in range(4)]


def tick(ports: Ports, minute: float, **kwargs: object) -> RunReport:
    """One round for target t, as of `minute`."""
    policies = kwargs.pop("policies", load_preset("two-loop"))
    now_s = T0 + 60.0 * minute + 80.0
    return run_once(["t"], ports=ports, policies=policies, now_s=now_s, trigger=TICK, **kwargs)


def test_an_outage_is_saved_journalled_and_published_everywhere():
    """State, journal, circuit item and configuration all say the same."""
    ports = memory_ports(OUTAGE, [*calm(-600, 600)])
    report = tick(ports, 3)
    assert [d.regime.name for d in report.decisions] == ["DEAD"] * 4
    stored = decode_state(ports.checkpoints.items["t"].data)
    assert stored.law.applied.circuit == CircuitState.OPEN
    circuit = ports.circuits.read("t")
    assert circuit is not None
    assert circuit.state == CircuitState.OPEN
    assert circuit.version == ports.checkpoints.items["t"].version
    assert circuit.valid_until == T0 + 180.0 + 80.0 + 90.0
    assert circuit.reason == "DEAD: NEARLY_ALL_FAIL"
    assert ports.publisher.document.targets["t"].retry.budget_ratio == 0.0
    assert ports.publisher.deployments[-1][1], "tightening is urgent"
    record = ports.journal.records[-1]
    assert record["regime"] == "DEAD"
    assert record["trigger"] == "tick"
    json.dumps(record)


def test_history_makes_a_new_target_sharp_from_its_first_minute():
    """Backfill: the batch at minutes 0-2 of each hour is known before the first live window."""
    past = [window(i, fast=150 if i % 60 < 3 else 1) for i in range(-1440, 0)]
    ports = memory_ports([window(i, fast=150) for i in range(3)], past)
    for minute in range(3):
        report = tick(ports, minute)
        assert not any(d.changed for d in report.decisions)


def test_a_target_that_is_down_when_first_seen_is_acted_upon_at_once():
    """Backfill must not swallow the outage that goes on right now."""
    bad = [window(i, fast=590) for i in range(-4, 1)]
    ports = memory_ports(bad, [*calm(-600, 596), *bad[:4]])
    report = tick(ports, 0)
    assert report.decisions[-1].applied.circuit == CircuitState.OPEN


def test_a_target_that_was_dead_for_ten_minutes_is_opened_by_the_first_window():
    """What is read up is evidence too: coming up in an outage, the controller need not wait for more."""
    bad = [window(i, fast=590) for i in range(-10, 1)]
    ports = memory_ports(bad[-1:], [*calm(-600, 590), *bad[:-1]])
    report = tick(ports, 0)
    assert len(report.decisions) == 1
    assert report.decisions[0].applied.circuit == CircuitState.OPEN


def test_without_new_windows_time_passes_and_nothing_else_changes():
    """A duplicate alarm finds nothing new: no write but the first checkpoint, no deployment."""
    ports = memory_ports([window(0)], calm(-60, 60))
    cache: dict[str, Remembered] = {}
    tick(ports, 0, cache=cache)
    saves, deployments = ports.checkpoints.saves, len(ports.publisher.deployments)
    for _ in range(5):
        tick(ports, 0, cache=cache)
    assert ports.checkpoints.saves == saves
    assert len(ports.publisher.deployments) == deployments
    assert ports.circuits.writes == []


def test_a_target_that_is_gone_for_hours_is_told_once():
    """A record holds a state: one a minute made 1,440 a day of a target that says nothing."""
    ports = memory_ports([window(0)])
    cache: dict[str, Remembered] = {}
    for minute in range(180):
        tick(ports, minute, cache=cache)
    reasons = [[e["reason"] for e in record["evidence"]] for record in ports.journal.records]
    assert len([r for r in reasons if "BLIND_TOO_LONG" in r]) == 1


class SickPolicies(PolicySet):
    """A policy set in which b's policy cannot be had: any fault of ours, in its simplest form."""

    def for_target(self, target: str) -> Policy:
        """Return the policy, or fail."""
        if target == "b":
            raise ZeroDivisionError("of the policy")
        return super().for_target(target)


def test_a_fault_in_one_target_is_told_and_the_others_are_decided_all_the_same():
    """A policy nobody thought of may break one target's step; it must not blind a thousand others."""
    ports = memory_ports([seen._replace(target=name) for seen in OUTAGE for name in ("a", "b", "c")])
    policies = SickPolicies(*load_preset("two-loop"))
    for minute in range(4):
        now_s = T0 + 60.0 * minute + 80.0
        report = run_once(["a", "b", "c"], ports=ports, policies=policies, now_s=now_s, trigger=TICK)
        assert {d.target for d in report.decisions} == {"a", "c"}
        ((where, error),) = report.errors
        assert (where, error.retryable, str(error)) == ("b", False, "b: ZeroDivisionError: of the policy")
    assert {circuit.target for circuit in ports.circuits.writes} == {"a", "c"}


def test_a_healthy_target_is_saved_once_in_a_quarter_of_an_hour():
    """One write instead of fifteen; what is unsaved can be derived from the metrics again."""
    ports = memory_ports(calm(0, 60), calm(-60, 60))
    cache: dict[str, Remembered] = {}
    for minute in range(60):
        tick(ports, minute, cache=cache)
    assert 4 <= ports.checkpoints.saves <= 5


def test_a_cold_container_reaches_the_state_that_the_warm_one_had():
    """Losing the cache between any two ticks changes no decision."""
    stream = [*calm(0, 20), *(window(20 + i, timeouts=300) for i in range(6)), *calm(26, 20)]
    warm_ports, cold_ports = memory_ports(stream, calm(-60, 60)), memory_ports(stream, calm(-60, 60))
    cache: dict[str, Remembered] = {}
    for minute in range(46):
        tick(warm_ports, minute, cache=cache)
        cold: dict[str, Remembered] = {}
        tick(cold_ports, minute, cache=cold)
    warm_changes = [r["applied"] for r in warm_ports.journal.records if r["changed"]]
    cold_changes = [r["applied"] for r in cold_ports.journal.records if r["changed"]]
    assert warm_changes == cold_changes
    assert warm_changes


def test_a_lost_race_is_decided_again_from_what_won():
    """Two controllers wake for one target: the loser re-reads, and no update is lost (P5)."""
    ports = memory_ports([window(0, fast=590)], calm(-60, 60))
    stale = {"t": Remembered(0, initial_state(Policy()), -1.0)}
    tick(ports, 0)
    version = ports.checkpoints.items["t"].version
    ports.sensor.windows.append(window(1, fast=590))
    report = tick(ports, 1, cache=stale, sole_writer=True)
    assert report.conflicts == 1
    assert not report.errors
    assert ports.checkpoints.items["t"].version == version + 1
    assert decode_state(ports.checkpoints.items["t"].data).stamp_s == T0 + 60.0


def test_an_own_lost_reply_is_no_conflict():
    """The write went through, the answer did not: the same event again must not decide twice (P4)."""
    ports = memory_ports(OUTAGE, calm(-60, 60))
    ports.checkpoints.fail_next(after_effect=True)
    first = tick(ports, 3)
    assert first.retry
    assert ports.circuits.writes == []
    second = tick(ports, 3)
    assert not second.errors
    # The state says OPEN already; the round only has to publish it.
    assert ports.circuits.read("t").state == CircuitState.OPEN
    assert ports.publisher.document.targets["t"].retry.budget_ratio == 0.0


def test_a_crash_after_saving_is_mended_by_the_next_round():
    """Journal, circuit and configuration all failed: the next tick publishes what the state says (E5)."""
    ports = memory_ports(OUTAGE, calm(-60, 60))
    ports.circuits.fail_next()
    ports.publisher.fail_next()
    broken = tick(ports, 3)
    assert {what for what, _ in broken.errors} == {"t", "configuration"}
    assert tick(ports, 3.5).errors == ()
    assert ports.circuits.read("t").state == CircuitState.OPEN
    assert ports.publisher.document.targets["t"].retry.budget_ratio == 0.0


def test_a_blind_sensor_holds_everything():
    """No metrics is not good news and not bad news."""
    ports = memory_ports([window(0, fast=590)], calm(-60, 60))
    tick(ports, 0)
    applied = decode_state(ports.checkpoints.items["t"].data).law.applied
    ports.sensor.fail_next()
    report = tick(ports, 1)
    assert report.retry
    assert decode_state(ports.checkpoints.items["t"].data).law.applied == applied


def test_an_unreadable_store_changes_nothing_and_asks_to_be_called_again():
    """The controller without its memory must not decide."""
    ports = memory_ports([window(0, fast=590)], calm(-60, 60))
    ports.checkpoints.fail_next()
    report = tick(ports, 0)
    assert report.retry
    assert report.decisions == ()
    assert ports.publisher.deployments == []


def test_a_corrupt_checkpoint_starts_afresh_and_says_so():
    """Damaged bytes never open a circuit and never stop the loop (C11)."""
    ports = memory_ports([window(0)], calm(-60, 60))
    ports.checkpoints.save("t", b"garbage", expected_version=0, write_id="x", stamp_s=0.0, now_s=T0)
    report = tick(ports, 0)
    assert not report.errors
    assert any(r.get("event") == "CHECKPOINT_RESET" for r in ports.journal.records)
    assert decode_state(ports.checkpoints.items["t"].data).law.applied.circuit == CircuitState.CLOSED


def test_shadow_decides_and_journals_but_writes_no_effect():
    """O3: a rehearsal has no effects."""
    shadow = load_preset("two-loop")
    shadow = PolicySet(shadow.default._replace(mode=Mode.SHADOW), {}, "shadow")
    ports = memory_ports(OUTAGE, calm(-60, 60))
    report = tick(ports, 3, policies=shadow)
    assert report.decisions[-1].applied.circuit == CircuitState.OPEN
    assert ports.circuits.writes == []
    assert ports.publisher.deployments == []
    assert ports.journal.records[0]["shadow"] is True


def test_an_operators_hold_is_effective_in_the_same_round_and_expires():
    """Written to the store, obeyed at once, released by time."""
    ports = memory_ports(calm(0, 60), calm(-60, 60))
    tick(ports, 0)
    hold = Hold(HoldKind.FORCE_OPEN, T0 + 60.0 * 10, "ana", "maintenance")
    ports.holds.put("t", hold, now_s=T0 + 100.0)
    tick(ports, 0.5)
    assert ports.circuits.read("t").state == CircuitState.FORCED_OPEN
    for minute in range(1, 40):
        tick(ports, minute)
    assert ports.circuits.read("t").state == CircuitState.CLOSED
    assert any("OPERATOR_HOLD_EXPIRED" in str(r) for r in ports.journal.records)


def test_given_windows_of_a_stream_count_as_the_sensors_do():
    """A metric stream brings the window itself: no sensor read needed, and the later read of it is late."""
    ports = memory_ports([window(0, fast=590)], calm(-60, 60))
    tick(ports, 0, given={"t": [window(0, fast=590)]})
    assert sum(1 for r in ports.journal.records if r["changed"]) == 1


def test_three_targets_falling_together_freeze_all_loosening():
    """A platform event: restored retries must not line up against what they share."""
    names = ["a", "b", "c"]
    past = [w._replace(target=name) for name in names for w in calm(-60, 60)]
    bad = [window(0, timeouts=300)._replace(target=name) for name in names]
    good = [w._replace(target=name) for name in names for w in calm(1, 30)]
    ports = memory_ports([*bad, *good], past)
    frozen = False
    for minute in range(30):
        report = run_once(
            names,
            ports=ports,
            policies=load_preset("two-loop"),
            now_s=T0 + 60.0 * minute + 80.0,
            trigger=TICK,
        )
        frozen = frozen or any("CORRELATED_FAILURE_FREEZE" in str(d.evidence) for d in report.decisions)
    assert frozen
    assert all(r.retry.budget_ratio == 0.2 for r in ports.publisher.document.targets.values())


def test_automation_opens_only_a_share_of_the_fleet():
    """O4: ten targets die at once; with a share of 0.3, three open; the others keep budget 0."""
    names = [f"s{i}" for i in range(10)]
    past = [w._replace(target=name) for name in names for w in calm(-60, 60)]
    bad = [w._replace(target=name) for name in names for w in [window(i, fast=590) for i in range(8)]]
    ports = memory_ports([*bad], past)
    for minute in range(8):
        run_once(
            names,
            ports=ports,
            policies=load_preset("two-loop"),
            now_s=T0 + 60.0 * minute + 80.0,
            trigger=TICK,
        )
    opened = [c for c in ports.circuits.items.values() if c.state == CircuitState.OPEN]
    assert len(opened) == 3
    assert all(p.retry.budget_ratio == 0.0 for p in ports.publisher.document.targets.values())


def test_decisions_carry_the_identity_of_their_policy():
    """A year later it must be known which numbers decided."""
    ports = memory_ports([window(0, fast=590)], calm(-60, 60))
    report = tick(ports, 0)
    assert report.decisions[0].policy_hash == policy_digest(Policy())
    assert len(encode_state(initial_state(Policy()))) < 1_600
