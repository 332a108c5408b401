"""Static stability, part one: controller, EventBridge, probe and operator, each killed, slowed and corrupted.

Each test is a row of docs/reference/static-stability.md and carries its name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chaos.stage import TARGET, Stage
from flyball.circuit_item import decode_circuit
from flyball.contract import CircuitState
from flyball_controller.check_book import Result, key_of, write_results
from flyball_controller.core.model import Regime
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.overrides import InvalidOverrideError
from flyball_controller.ports import Checkpoints
from flyball_handlers import alarm, tick, wiring
from flyball_local.cloudwatch.events import STATE_CHANGE
from flyball_local.delivery import DeliveryFaults

READ_S = 7.0  # a cache age with its jitter, and the call that looks


def nominal(stage: Stage) -> bool:
    """Whether the target is under its nominal setpoint."""
    return stage.applied == nominal_setpoint(stage.cloud.runtime.policies.for_target(TARGET))


# --- controller ---------------------------------------------------------------------------


def test_controller_killed_circuits_lapse_and_clients_go_on(stage):
    """A data plane must not need its control plane: what nobody renews ends."""
    stage.order("open", for_s=3_600)
    stage.pass_s(READ_S)
    stage.reach_controller(False)
    rounds = stage.rounds
    left_s = stage.until_s() - stage.clock.now_s()
    assert 60.0 <= left_s <= 90.0
    assert stage.answered(left_s - 1.0) == 0.0
    stage.pass_s(READ_S)
    assert stage.unhurt(stage.pass_s(120.0))
    assert stage.rounds == rounds


class Slow:
    """A store whose first save of the target takes so long that the next tick begins beside it."""

    def __init__(self, real: Checkpoints, stage: Stage, beside: wiring.Runtime) -> None:
        self._real = real
        self._stage = stage
        self._beside = beside
        self.waited = False

    def load(self, keys: Any) -> Any:
        """As the real one."""
        return self._real.load(keys)

    def save(self, key: str, data: bytes, **more: Any) -> Any:
        """Wait once, while another container works, then save."""
        if key == TARGET and not self.waited:
            self.waited = True
            self._stage.reach_controller(True)
            with wiring.use_runtime(self._beside):
                self._stage.clock.advance(70.0)
        return self._real.save(key, data, **more)


def test_controller_slow_the_later_save_is_decided_again(stage):
    """A round that takes longer than a minute meets the next one; neither may undo the other."""
    stage.reach_controller(False)  # until the slow one has begun
    stage.fail()
    stage.pass_s(100.0)
    beside = replace(stage.cloud.runtime, sole_writer=False, cache={})
    slow = Slow(beside.ports.checkpoints, stage, beside)
    late = replace(beside, cache={}, ports=beside.ports._replace(checkpoints=slow))
    before, _ = stage.stored()
    conflicts = stage.said("conflicts")
    with wiring.use_runtime(late):
        tick.handler({}, None)
    after, state = stage.stored()
    assert slow.waited
    assert stage.said("conflicts") == conflicts + 1
    assert after > before
    assert state.law.regime == Regime.BROKEN
    assert state == late.cache[TARGET].state  # what the slow one goes on from
    # The minute that both saw is in the journal once.
    seen = [record["observation"]["start_s"] for record in stage.journal() if record["changed"]]
    assert seen
    assert len(seen) == len(set(seen))


def test_controller_corrupt_nonsense_is_not_obeyed_and_written_over(stage):
    """A bad release writes what nobody understands: clients know nothing then, which is closed."""
    nonsense = {"state": {"S": "ajar"}, "version": {"S": "many"}, "valid_until": {"N": "1e12"}}
    stage.put("circuits", target={"S": TARGET}, function={"S": "*"}, **nonsense)
    stage.forget()
    assert stage.unhurt(stage.pass_s(60.0))
    assert stage.states() == {CircuitState.CLOSED}
    stage.order("open", for_s=600)
    assert decode_circuit(stage.published()).state == CircuitState.FORCED_OPEN
    stage.pass_s(READ_S)
    assert stage.answered(20.0) == 0.0


# --- EventBridge --------------------------------------------------------------------------


def test_eventbridge_killed_what_was_missed_is_learned_and_not_acted_upon(stage):
    """Neither tick nor alarm for twelve minutes, with an outage in them: nobody opens for what is over."""
    stage.reach_controller(False)
    stage.fail()
    stage.pass_s(180.0)
    stage.heal()
    stage.pass_s(540.0)
    stamp_s = stage.stored()[1].stamp_s
    stage.reach_controller(True)
    assert stage.unhurt(stage.pass_s(120.0))
    known = stage.cloud.runtime.cache[TARGET].state
    assert known.stamp_s > stamp_s + 600.0
    assert stage.applied.circuit == CircuitState.CLOSED
    assert stage.said("backend_errors") == 0


def test_eventbridge_slow_late_events_are_wake_ups_like_any_other(stage):
    """Events come up to four minutes late and out of order; evidence is in the metrics, not in them."""
    stage.cloud.aws.bus.faults = DeliveryFaults(delay_ratio=1.0, delay_max_s=240.0)
    stage.fail()
    stage.pass_s(480.0)
    assert stage.cloud.runtime.cache[TARGET].state.law.regime in (Regime.DEAD, Regime.BROKEN)
    stage.heal()
    stage.pass_s(600.0)
    stamps = [record["at_s"] for record in stage.journal()]
    assert stamps == sorted(stamps)
    assert stage.unhurt(stage.pass_s(30.0))


def forged(stage: Stage, account: str) -> dict[str, Any]:
    """An alarm of the target that says it went off now."""
    return {
        "version": "0",
        "id": "7d1c9e7e-0000-4000-8000-000000000001",
        "detail-type": STATE_CHANGE,
        "source": "aws.cloudwatch",
        "account": account,
        "time": "2026-01-05T00:02:00Z",
        "region": "eu-west-1",
        "resources": [f"arn:aws:cloudwatch:eu-west-1:{account}:alarm:flyball/{TARGET}/failures"],
        "detail": {
            "alarmName": f"flyball/{TARGET}/failures",
            "state": {"value": "ALARM", "reason": "forged", "timestamp": "2026-01-05T00:02:00.000+0000"},
            "previousState": {"value": "OK"},
        },
    }


def test_eventbridge_corrupt_forged_and_repeated_events_change_nothing(stage):
    """An event is a wake-up: of another account none at all, ten times the same one look at calm metrics."""
    before = stage.stored()
    assert alarm.handler(forged(stage, "999999999999"))["rejected"] == 1
    for _ in range(10):
        alarm.handler(forged(stage, "123456789012"))
    assert stage.stored()[1].law == before[1].law
    assert nominal(stage)
    assert stage.unhurt(stage.pass_s(30.0))


# --- probe --------------------------------------------------------------------------------

CHECKED = f"""\
version: 1
preset: two-loop
probes:
  {TARGET}: {{kind: call, callable: "integration.infra_world:is_well", critical: true}}
"""


@pytest.fixture
def checked(tmp_path):
    """Yield a stage whose target is checked, and whose circuit an outage has opened."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(CHECKED)
    with Stage(str(policy)) as stage:
        stage.pass_s(120.0)
        stage.fail()
        stage.pass_s(420.0)
        assert stage.applied.circuit == CircuitState.OPEN
        yield stage


def check(stage: Stage, at_s: float, *, good: bool) -> None:
    """Record what a check found."""
    store = stage.cloud.runtime.ports.checkpoints
    write_results(store, {TARGET: Result(at_s, 20.0, good)}, slot_s=60.0, now_s=stage.clock.now_s())


def test_probe_killed_clients_own_probes_find_the_target(checked):
    """Checks are a help; recovery must not need them."""
    checked.heal()
    checked.pass_s(120.0)
    assert checked.answered(60.0) == 1.0
    assert checked.item("state", key=key_of(TARGET)) is None


def test_probe_slow_old_checks_are_no_evidence(checked):
    """Good checks of ten minutes ago say nothing of now."""
    now_s = checked.clock.now_s()
    for minutes in range(30, 10, -1):
        check(checked, now_s - minutes * 60.0, good=True)
    checked.pass_s(180.0)
    assert checked.applied.circuit == CircuitState.OPEN
    assert checked.answered(60.0) == 0.0


def test_probe_corrupt_lying_checks_close_nothing(checked):
    """Its checks say well while the target is down; and its record is damaged after that."""
    load = [call.attempts for call in checked.pass_s(1.0)]
    for _ in range(6):
        check(checked, checked.clock.now_s(), good=True)
        load += [call.attempts for call in checked.pass_s(60.0)]
        assert checked.applied.circuit != CircuitState.CLOSED
    assert sum(load) / len(load) < 0.3
    checked.put("state", key={"S": key_of(TARGET)}, ver={"N": "99"}, b={"B": b"\x00damaged"})
    errors = checked.said("backend_errors")
    checked.heal()
    checked.pass_s(180.0)
    assert checked.answered(60.0) == 1.0
    assert checked.said("backend_errors") == errors


# --- operator -----------------------------------------------------------------------------


def test_override_killed_a_forgotten_hold_ends_by_itself(stage):
    """The operator opens a circuit and is never heard of again."""
    stage.order("open", for_s=240)
    ends_s = stage.clock.now_s() + 240.0
    stage.pass_s(READ_S)
    assert stage.answered(ends_s - stage.clock.now_s() - 1.0) == 0.0
    stage.pass_s(60.0 + READ_S)  # the tick that sees it, and the clients' next read
    assert stage.answered(60.0) == 1.0
    assert stage.applied.circuit == CircuitState.HALF_OPEN  # the careful way back
    assert stage.answered(300.0) > 0.99
    assert nominal(stage)


def test_override_slow_a_late_order_with_an_end_does_not_outlive_it(stage):
    """Lambda keeps an asynchronous order for up to six hours and may deliver it twice."""
    stage.order("open", until="2026-01-05T00:05:00Z")
    stage.pass_s(600.0)
    assert nominal(stage)
    version = stage.stored()[0]
    with pytest.raises(InvalidOverrideError) as refused:
        stage.order("open", until="2026-01-05T00:05:00Z")
    assert refused.value.field == "until"
    assert stage.stored()[0] == version
    assert stage.unhurt(stage.pass_s(60.0))


def test_override_corrupt_what_cannot_be_obeyed_changes_nothing(stage):
    """Orders that nobody understands are refused whole; a damaged hold is no hold, for it could never end."""
    for wrong in ({"for_s": 1e9}, {"for_s": "soon"}, {}, {"for_s": 600, "target": "paymets-api"}):
        with pytest.raises(InvalidOverrideError):
            stage.order("open", **wrong)
    assert stage.item("holds", target=TARGET) is None
    stage.put("holds", target={"S": TARGET}, kind={"S": "FORCE_OPEN"}, until={"S": "never"})
    assert stage.unhurt(stage.pass_s(180.0))
    assert nominal(stage)
    assert stage.said("backend_errors") == 0
