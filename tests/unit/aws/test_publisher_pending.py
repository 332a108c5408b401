"""A wish that has to wait: it keeps its urgency, and goes out as what it is by then."""

from __future__ import annotations

import pytest

from flyball.contract import DEFAULT_PARAMS, Document, RetryParams, TargetParams
from flyball_controller.aws.publish_document import tightens
from unit.aws.publisher_world import PublisherWorld

CALM, TIGHT = TargetParams(), TargetParams(retry=RetryParams(max_attempts=2, budget_ratio=0.0))


def test_a_pending_wish_goes_out_as_what_it_is_by_then():
    """It is encoded once while it waits; its revision and its moment are those of the deployment."""
    world = PublisherWorld()
    world.publish(CALM)
    world.publisher.publish({"t": TIGHT}, urgent=False, policy_hash="p", now_s=world.now_s + 10.0)
    report = world.publisher.publish({"t": TIGHT}, urgent=False, policy_hash="p", now_s=world.now_s + 20.0)
    assert report.status.pending
    assert world.publish(TIGHT, after_s=120.0).status.code == "deployed"
    document = world.profile.standing()
    assert document is not None
    assert (document.targets, document.revision) == ({"t": TIGHT}, 2)
    assert document.generated_at == "2023-11-14T22:16:20Z"  # 180 s after the world began
    assert world.publish(TIGHT).status.code == "unchanged"


def test_a_tightening_that_met_a_deployment_in_flight_is_still_urgent_at_the_next_tick():
    """By then the state has not changed any more; taken for a loosening it waited for the gap, or an hour."""
    world = PublisherWorld()
    assert world.publish(CALM).status.code == "deployed"
    assert world.publish(TIGHT, after_s=1.0, urgent=True).status == ("in_flight", True)
    assert world.publish(TIGHT, after_s=30.0, urgent=False).status.code == "deployed"


def test_nobody_elses_loosening_can_use_up_what_a_waiting_tightening_needs():
    """Nine of the hour's twelve are for everything, three are kept for what protects."""
    world = PublisherWorld()
    for number in range(9):
        calm = TargetParams(retry=RetryParams(base_ms=100 + number))
        assert world.publish(calm, after_s=100.0, urgent=False).status.code == "deployed"
    assert world.publish(CALM, after_s=100.0, urgent=False).status == ("rate_limited", True)
    assert world.publish(TIGHT, after_s=0.0, urgent=False).status.code == "deployed"


def retry(**fields: float) -> TargetParams:
    """Parameters with another retry section."""
    return TargetParams(retry=DEFAULT_PARAMS.retry._replace(**fields))


@pytest.mark.parametrize(
    ("standing", "wished", "tighter"),
    [
        (retry(max_attempts=4), retry(max_attempts=3), True),
        (retry(max_attempts=3), retry(max_attempts=4), False),
        (retry(budget_ratio=0.2), retry(budget_ratio=0.1), True),
        (retry(budget_ratio=0.1), retry(budget_ratio=0.0), True),
        (retry(budget_ratio=0.0), retry(budget_ratio=0.2), False),
        # A raised budget that goes back to nominal protects nobody: nothing is wrong then.
        (retry(budget_ratio=3.0), retry(budget_ratio=0.2), False),
        (retry(throttle_base_ms=1_000), retry(throttle_base_ms=4_000), True),
        (retry(throttle_base_ms=4_000), retry(throttle_base_ms=1_000), False),
        (CALM, CALM, False),
    ],
)
def test_what_protects_a_target_more_than_what_stands_is_a_tightening(standing, wished, tighter):
    """The same as the guardrails say of two setpoints, as far as the document carries them."""
    document = Document(1, "", "p", {"a": CALM, "t": standing})
    assert tightens(document, {"a": CALM, "t": wished}) is tighter
    assert tightens(document._replace(targets={}, defaults=standing), {"t": wished}) is tighter


def test_where_nothing_stands_nothing_is_tightened():
    """Clients are on the values compiled into them, and the first document has the slots of an hour."""
    assert not tightens(None, {"t": TIGHT})
