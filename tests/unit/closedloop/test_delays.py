"""The way to the clients: what is visible when, and what the publication plan allows."""

from __future__ import annotations

import math
from random import Random

from flyball.call import Target
from flyball.contract import DEFAULT_PARAMS, FLEET, Circuit, CircuitState, TargetParams
from flyball_analytics.closedloop_control import Control
from flyball_analytics.delays import DEPLOYMENT_S, POLL_S, WRITE_S, Delivery, SimCircuits, SimPublisher
from flyball_analytics.plant import Environment
from flyball_controller.aws.publish_plan import Limits

TIGHT = DEFAULT_PARAMS._replace(retry=DEFAULT_PARAMS.retry._replace(budget_ratio=0.0))
LOOSE = DEFAULT_PARAMS._replace(retry=DEFAULT_PARAMS.retry._replace(budget_ratio=3.0))


def circuit(version: int, *, budget: float = 0.0) -> Circuit:
    """Return a closed circuit that overrides the budget."""
    return Circuit(
        "api", FLEET, CircuitState.CLOSED, 0.0, 0, 1.0, version, f"w{version}", 0.0, 1e9, "", budget, 4, 3
    )


def publisher(**limits: float) -> SimPublisher:
    """Return a publisher whose nominal document stands."""
    return SimPublisher({"api": DEFAULT_PARAMS}, policy_hash="p", limits=Limits(**limits))  # type: ignore[arg-type]  # test shorthand


def publish(sink: SimPublisher, params: TargetParams, at_s: float, *, urgent: bool = False) -> str:
    """Offer parameters and return the code."""
    return sink.publish({"api": params}, urgent=urgent, policy_hash="p", now_s=at_s).status.code


def test_a_deployment_can_be_read_ten_seconds_after_it_began() -> None:
    """Before that every agent still serves the old document."""
    sink = publisher()
    assert publish(sink, TIGHT, 100.0) == "deployed"
    assert sink.readable(100.0 + DEPLOYMENT_S - 0.1).targets["api"] == DEFAULT_PARAMS
    assert sink.readable(100.0 + DEPLOYMENT_S).targets["api"] == TIGHT
    assert sink.current() is sink.deployments[-1].document
    assert [deployment.started_s for deployment in sink.started] == [100.0]


def test_one_deployment_is_in_flight_and_the_plan_limits_the_rest() -> None:
    """The production plan decides: in flight, unchanged, gap, urgent."""
    sink = publisher()
    assert publish(sink, DEFAULT_PARAMS, 0.0) == "unchanged"
    assert publish(sink, TIGHT, 100.0) == "deployed"
    assert publish(sink, LOOSE, 105.0) == "in_flight"
    assert publish(sink, LOOSE, 120.0) == "rate_limited"
    assert publish(sink, LOOSE, 120.0, urgent=True) == "deployed"


def test_only_so_many_deployments_fit_into_an_hour() -> None:
    """Three with none reserved: the fourth waits."""
    sink = publisher(per_h=3, reserve=0, gap_s=0.0)
    codes = [publish(sink, (TIGHT, LOOSE)[n % 2], 60.0 * n) for n in range(4)]
    assert codes == ["deployed", "deployed", "deployed", "rate_limited"]


def test_circuit_items_are_readable_after_their_write_and_versions_only_rise() -> None:
    """A late writer must not win."""
    items = SimCircuits()
    items.now_s = 50.0
    assert items.publish(circuit(3))
    assert items.publish(circuit(3))  # the same once more
    assert not items.publish(circuit(2))
    assert items.readable("api", 50.0 + WRITE_S - 0.1) is None
    assert items.readable("api", 50.0 + WRITE_S) == circuit(3)
    assert items.read("api") == circuit(3)
    assert items.read("other") is None
    assert items.writes == 1


def environment_at(delivery: Delivery, at_s: float) -> Environment:
    """Return a new environment that makes its first call."""
    environment = Environment(Target("api"))
    delivery.refresh(environment, at_s)
    return environment


def test_an_environment_asks_for_its_circuit_every_five_seconds_or_so() -> None:
    """Not before its cache is old, and at the next call after that."""
    items, sink = SimCircuits(), publisher()
    delivery = Delivery("api", circuits=items, publisher=sink, seed=1)
    environment = environment_at(delivery, 0.0)
    items.publish(circuit(1))
    assert 5.0 <= environment.check_at_s <= 5.5
    delivery.refresh(environment, 4.9)
    assert environment.target.state(4.9) is CircuitState.CLOSED
    assert environment.target.budget_ratio == 0.2
    delivery.refresh(environment, environment.check_at_s)
    environment.target.state(6.0)
    assert environment.target.budget_ratio == 0.0
    (key,) = [key for key in delivery.obeyed_s if key[0] == "circuit"]
    assert key == ("circuit", 1)


def test_a_document_reaches_every_environment_within_a_poll_and_a_read() -> None:
    """Staggered by their first poll; none before the deployment, none after 45 s and two reads."""
    items, sink = SimCircuits(), publisher()
    delivery = Delivery("api", circuits=items, publisher=sink, seed=1)
    fleet = [environment_at(delivery, 0.0) for _ in range(12)]
    publish(sink, LOOSE, 1.0)
    obeyed = {}
    for second in range(1, 90):
        for number, environment in enumerate(fleet):
            if second >= environment.check_at_s:
                delivery.refresh(environment, float(second))
            if number not in obeyed and environment.target.params.retry.budget_ratio == 3.0:
                obeyed[number] = second
    assert len(obeyed) == 12
    assert min(obeyed.values()) >= 1.0 + DEPLOYMENT_S
    assert max(obeyed.values()) <= 1.0 + DEPLOYMENT_S + POLL_S + 2 * 11.0 + 1.0
    assert max(obeyed.values()) - min(obeyed.values()) > 15  # staggered, not together


def test_a_new_environment_begins_with_what_is_deployed() -> None:
    """Its agent fetches at the start; an idle one would still hold the old document."""
    items, sink = SimCircuits(), publisher()
    delivery = Delivery("api", circuits=items, publisher=sink, seed=1)
    publish(sink, LOOSE, 0.0)
    assert environment_at(delivery, 30.0).target.params.retry.budget_ratio == 3.0


def test_a_control_without_a_rule_is_no_control() -> None:
    """The base class keeps books; deciding is the subclass's."""
    control = Control({"api": DEFAULT_PARAMS}, {}, policy_hash="", limits=Limits(), seed=1)
    try:
        control.round(0.0, [])
    except NotImplementedError:
        return
    raise AssertionError("a round that nobody wrote must not pass silently")


def test_after_its_first_poll_an_agent_polls_every_45_seconds() -> None:
    """A document that becomes readable just after a poll waits for the next one."""
    items, sink = SimCircuits(), publisher()
    delivery = Delivery("api", circuits=items, publisher=sink, seed=1)
    environment = environment_at(delivery, 0.0)
    second_poll_s = math.ceil(POLL_S * Random("1/api/reads").random()) + POLL_S
    published_s = second_poll_s - DEPLOYMENT_S + 2.0
    obeyed_s = None
    for second in range(1, 200):
        if second == published_s:
            publish(sink, LOOSE, published_s)
        delivery.refresh(environment, float(second))
        if obeyed_s is None and environment.target.params.retry.budget_ratio == 3.0:
            obeyed_s = second
    assert obeyed_s is not None
    assert second_poll_s + POLL_S <= obeyed_s <= second_poll_s + POLL_S + 12.0
