"""Runs both worlds, one per core, and puts their results side by side."""

from __future__ import annotations

from flyball_controller.policy_set import PolicySet
from flyball_local.demo.control import ControlledWorld
from flyball_local.demo.progress import follow
from flyball_local.demo.report import DemoResult
from flyball_local.demo.scenario import Scenario
from flyball_local.demo.static import static_arm


def run_demo(
    scenario: Scenario, *, policies: PolicySet, seed: int, checked: bool = False, record: bool = False
) -> DemoResult:
    """Return what becomes of the scenario with flyball and without.

    Args:
        scenario: Services, incidents, hours.
        policies: What the controller obeys.
        seed: Decides every arrival, fault of delivery and identifier; same seed, same result.
        checked: Hold every AWS call to the service model, as the tests do; costs a third more time.
        record: Keep what the embedded CloudWatch recorded, for a page.

    Raises:
        RuntimeError: The process with the other world died.
    """
    with static_arm(scenario, seed=seed) as static:
        world = ControlledWorld(scenario, policies=policies, seed=seed, checked=checked)
        follow(world.minutes(), total=scenario.hours * 60)
        run = world.result()
        return DemoResult(
            scenario=scenario,
            seed=seed,
            policy=policies.name,
            flyball=run.arm,
            static=static(),
            incident_control=run.incident_control,
            quiet_control=run.quiet_control,
            actions=run.actions,
            machinery=run.machinery,
            recorded=world.recorded() if record else (),
        )
