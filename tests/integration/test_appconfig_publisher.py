"""The publisher through boto3 against the embedded AppConfig (fidelity: emulator)."""

from __future__ import annotations

import pytest

from flyball.contract import DOCUMENT_BYTES_MAX, Document, RetryParams, TargetParams, encode_document
from flyball_controller.aws.appconfig import KEEP_VERSIONS, AppConfigPublisher
from flyball_controller.aws.appconfig_setup import ensure_config
from flyball_controller.ports import PortError
from flyball_local.appconfig import FaultKind
from integration.appconfig_world import CALM, LOOSE, TIGHT, Store, World

JSON_SCHEMA_THAT_WANTS_TARGET_A = '{"type":"object","properties":{"targets":{"required":["a"]}}}'


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may leave the process."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_APPCONFIG", "https://appconfig.invalid")


@pytest.fixture
def world() -> World:
    """A world without SDK retries: each fault meets one call."""
    return World()


def test_a_wish_reaches_a_client_and_the_same_wish_again_changes_nothing(world: World):
    """The whole way; and a no-op costs no deployment, no version and no write."""
    report = world.publish({"a": TIGHT})
    assert (report.status.code, report.status.pending, report.revision) == ("deployed", False, 1)
    saves = world.store.saves
    for after_s in (0.0, 60.0, 4_000.0):
        again = world.publish({"a": TIGHT}, after_s=after_s)
        assert (again.status.code, again.revision) == ("unchanged", 1)
    assert (len(world.deployments()), world.versions(), world.store.saves) == (1, [1], saves)
    assert world.seen_by_a_client().targets == {"a": TIGHT}
    assert world.publisher.current() == world.seen_by_a_client()


def test_nothing_wished_and_nothing_deployed_is_left_alone(world: World):
    """Clients have the same defaults compiled in."""
    assert world.publisher.current() is None
    assert world.publish({}).status.code == "unchanged"
    assert world.deployments() == []


def test_wishes_while_a_deployment_runs_are_coalesced_into_the_next(world: World):
    """One deployment per environment: what is wished meanwhile goes out together."""
    world.publish({"a": CALM})
    assert world.publish({"a": TIGHT}, urgent=True).status == ("in_flight", True)
    report = world.publish({"a": TIGHT, "b": LOOSE}, urgent=True, after_s=15.0)
    assert (report.status.code, report.revision) == ("deployed", 2)
    world.clock.advance(15.0)
    assert world.seen_by_a_client().targets == {"a": TIGHT, "b": LOOSE}


def test_loosening_waits_for_the_gap(world: World):
    """The refusal is pending, so that the next tick offers it again."""
    world.publish({"a": TIGHT})
    assert world.publish({"a": CALM}, after_s=30.0).status == ("rate_limited", True)
    assert world.publish({"a": CALM}, after_s=30.0).status.code == "deployed"


def test_another_profile_s_deployment_in_the_same_environment_blocks_too(world: World):
    """The slot belongs to the environment; we may neither crash on it nor take it for ours."""
    other = ensure_config(world.client, profile="somebody-else")
    theirs = world.new_publisher(other)
    world.store.items.clear()
    assert world.publish({"x": CALM}, by=theirs).status.code == "deployed"
    world.store.items.clear()
    assert world.publisher.current() is None
    assert world.publish({"a": TIGHT}, urgent=True).status == ("in_flight", True)
    assert (world.versions(), world.store.saves) == ([], 2)  # their two saves; nothing was tried
    assert world.publish({"a": TIGHT}, urgent=True, after_s=15.0).status.code == "deployed"
    world.clock.advance(15.0)
    assert world.seen_by_a_client().targets == {"a": TIGHT}


def test_another_profile_s_roll_back_holds_nothing_of_ours(world: World):
    """Version numbers are per profile: their version 1 is not our version 1."""
    other = ensure_config(world.client, profile="somebody-else")
    theirs = AppConfigPublisher(world.client, **other._asdict(), checkpoints=Store())
    world.publish({"a": TIGHT})
    world.publish({"a": CALM}, after_s=61.0)
    world.publish({"a": LOOSE}, after_s=61.0, by=theirs)
    world.stop(3)
    assert world.publish({"a": TIGHT}, after_s=61.0).status.code == "deployed"


@pytest.mark.parametrize("state", ["in progress", "complete"])
def test_rolled_back_content_is_not_published_again_for_an_hour(world: World, state: str):
    """A5: a deployment that was stopped (ROLLED_BACK) or reverted (REVERTED) had a reason."""
    world.publish({"a": CALM})
    world.publish({"a": TIGHT}, after_s=61.0)
    world.clock.advance(0.0 if state == "in progress" else 30.0)
    world.stop(2)
    held = world.publish({"a": TIGHT}, urgent=True, after_s=30.0)
    assert (held.status, held.revision) == (("held", True), 2)
    assert world.seen_by_a_client().targets == {"a": CALM}
    assert world.publish({"a": LOOSE}, after_s=61.0).status.code == "deployed"
    assert world.publish({"a": TIGHT}, urgent=True, after_s=3_300.0).status.code == "held"
    assert world.publish({"a": TIGHT}, urgent=True, after_s=400.0).status.code == "deployed"


@pytest.mark.parametrize("operation", ["StartDeployment", "CreateHostedConfigurationVersion"])
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_lost_reply_of_a_write_that_went_through_is_recognised(operation: str, attempts: int):
    """P4 for AppConfig: with and without an SDK retry that meets its own first attempt (409)."""
    world = World(attempts=attempts)
    world.publish({"a": CALM})
    world.service.faults.fail_next(operation, FaultKind.TIMEOUT_AFTER_EFFECT)
    report = world.publish({"a": TIGHT}, after_s=61.0)
    assert report.status.code == "deployed"
    assert (len(world.deployments()), world.versions()) == (2, [2, 1])
    assert len(world.store.record().starts) == 2
    assert world.publish({"a": TIGHT}, after_s=61.0).status.code == "unchanged"


@pytest.mark.parametrize("operation", ["StartDeployment", "CreateHostedConfigurationVersion"])
@pytest.mark.parametrize(
    "fault", [FaultKind.TIMEOUT_BEFORE_EFFECT, FaultKind.SERVER_ERROR, FaultKind.THROTTLED]
)
def test_a_write_that_did_not_happen_is_offered_again_and_leaves_no_litter(
    world: World, operation: str, fault: FaultKind
):
    """The version made by the first try is used by the second; the standing document stands."""
    world.publish({"a": CALM})
    world.service.faults.fail_next(operation, fault)
    report = world.publish({"a": TIGHT}, urgent=True, after_s=61.0)
    assert (report.status, report.revision) == (("failed", True), 1)
    assert world.seen_by_a_client().targets == {"a": CALM}
    again = world.publish({"a": TIGHT}, urgent=True, after_s=1.0)
    assert again.status.code == "deployed"
    assert again.revision > 1
    assert (len(world.deployments()), world.versions()) == (2, [2, 1])
    world.clock.advance(15.0)
    assert world.seen_by_a_client().revision == again.revision


def test_a_start_whose_outcome_cannot_even_be_looked_up_keeps_its_slot(world: World):
    """It may have gone through: the next run sees, and meanwhile the hour counts it."""
    world.publish({"a": CALM})

    def cut_off(**_: object) -> None:
        world.service.faults.fail_next("ListDeployments", FaultKind.SERVER_ERROR)

    world.client.meta.events.register("provide-client-params.appconfig.StartDeployment", cut_off)
    world.service.faults.fail_next("StartDeployment", FaultKind.TIMEOUT_AFTER_EFFECT)
    assert world.publish({"a": TIGHT}, after_s=61.0).status == ("failed", True)
    assert len(world.store.record().starts) == 2
    assert world.publish({"a": TIGHT}, after_s=1.0).status.code == "unchanged"


def test_a_validator_s_refusal_is_not_tried_again_at_every_tick():
    """It says the same of the same content; each try would cost a version and a slot."""
    world = World(validators=({"Type": "JSON_SCHEMA", "Content": JSON_SCHEMA_THAT_WANTS_TARGET_A},))
    assert world.publish({"b": TIGHT}).status == ("failed", False)
    assert world.publish({"b": TIGHT}, after_s=61.0).status == ("held", True)
    assert world.deployments() == []
    assert world.store.record().starts == ()
    assert world.publish({"a": TIGHT, "b": TIGHT}).status.code == "deployed"


def test_a_wish_that_clients_would_refuse_leaves_everything_as_it_is(world: World):
    """A1: refused before a version is created or a slot is noted."""
    world.publish({"a": CALM})
    calls, saves = dict(world.service.calls), world.store.saves
    for params in (
        {"a": TargetParams(retry=RetryParams(max_attempts=99))},
        {f"t{i}": CALM for i in range(400)},
    ):
        report = world.publish(params, urgent=True, after_s=61.0)
        assert (report.status, report.revision) == (("failed", False), 1)
    made = {name for name in world.service.calls if world.service.calls[name] != calls.get(name, 0)}
    assert made == {"ListDeployments", "GetHostedConfigurationVersion"}
    assert world.store.saves == saves


def test_a_document_that_only_its_higher_revision_makes_too_large_is_refused(world: World):
    """The limit holds for what is really sent: with revision 1 it fits to the byte, with 13 it does not."""
    params = {f"t{i:03d}": CALM for i in range(205)}
    exact = Document(1, "2023-11-14T22:13:20Z", "p", params | {"u": CALM})
    room = DOCUMENT_BYTES_MAX - len(encode_document(exact))
    params["u" * (1 + room)] = CALM
    assert len(encode_document(exact._replace(targets=params))) == DOCUMENT_BYTES_MAX
    for _ in range(12):
        world.create_by_hand(b"{}")
    assert world.publish(params).status == ("failed", False)
    assert world.versions() == list(range(12, 0, -1))
    assert (world.store.record().starts, world.store.record().intent) == ((), None)


def test_content_that_was_rolled_back_goes_out_as_a_new_version_after_its_hold(world: World):
    """The old version carries an old revision; clients that had taken it would ignore it."""
    world.publish({"a": CALM})
    world.publish({"a": TIGHT}, after_s=61.0)
    world.clock.advance(30.0)
    world.stop(2)
    world.publish({"a": TIGHT}, after_s=30.0)
    report = world.publish({"a": TIGHT}, after_s=3_601.0)
    assert (report.status.code, report.revision) == ("deployed", 3)
    assert world.versions() == [3, 2, 1]


def test_an_unreadable_document_is_replaced_by_a_higher_revision(world: World):
    """Somebody deployed broken content by hand, and the record is gone: clients must take the next one."""
    world.publish({"a": CALM, "b": TIGHT})
    world.clock.advance(30.0)
    world.deploy_by_hand(b"{broken")
    world.store.items.clear()
    assert world.publisher.current() is not None
    assert world.publish({"a": CALM}, after_s=61.0).status.code == "deployed"
    world.clock.advance(15.0)
    assert world.seen_by_a_client().targets == {"a": CALM, "b": TIGHT}
    assert world.seen_by_a_client().revision == 3


def test_versions_are_pruned_to_the_newest_twenty_and_the_standing_one_stays(world: World):
    """The store has a quota; what stands or could be returned to must not be deleted."""
    params = [TargetParams(retry=RetryParams(base_ms=100 + i)) for i in range(30)]
    for wanted in params:
        assert world.publish({"a": wanted}, after_s=600.0).status.code == "deployed"
    newest = list(range(30, 30 - KEEP_VERSIONS, -1))
    assert world.versions() == [*newest, 1]  # the stack owns the first: an update may deploy it again
    world.clock.advance(15.0)
    assert world.seen_by_a_client().targets == {"a": params[-1]}


def test_a_failed_pruning_does_not_deny_the_deployment(world: World):
    """What happened, happened."""
    for i in range(KEEP_VERSIONS + 1):
        world.publish({"a": TargetParams(retry=RetryParams(base_ms=100 + i))}, after_s=600.0)
    world.service.faults.fail_next("DeleteHostedConfigurationVersion", FaultKind.THROTTLED)
    report = world.publish({"a": TIGHT}, after_s=600.0)
    assert report.status.code == "deployed"
    assert "ThrottlingException" in report.detail


def test_an_hour_of_loosening_leaves_three_slots_for_tightening(world: World):
    """Nine deployments of loosening pass, then three urgent ones, then nothing."""
    outcomes = []
    for i in range(20):
        wanted = TargetParams(retry=RetryParams(base_ms=100 + i))
        outcomes.append(world.publish({"a": wanted}, after_s=61.0).status.code)
    assert outcomes == ["deployed"] * 9 + ["rate_limited"] * 11
    urgent = []
    for i in range(4):
        wanted = TargetParams(retry=RetryParams(base_ms=200 + i))
        urgent.append(world.publish({"a": wanted}, urgent=True, after_s=15.0).status.code)
    assert urgent == ["deployed"] * 3 + ["rate_limited"]


# --- several controllers -------------------------------------------------------------------


def test_a_lost_race_for_the_record_looks_again(world: World):
    """Somebody wrote between our read and our write: everything is read anew, and then it works."""
    world.store.lose_next = 2
    assert world.publish({"a": TIGHT}).status.code == "deployed"
    world.store.lose_next = 3
    assert world.publish({"a": CALM}, after_s=61.0).status == ("in_flight", True)
    assert len(world.deployments()) == 1


def test_a_controller_that_comes_between_wins_and_the_loser_offers_again(world: World):
    """Both locks: a version, and then a deployment, that another made between our look and our write."""
    world.publish({"a": CALM})
    for operation in ("CreateHostedConfigurationVersion", "StartDeployment"):
        fired = []

        def intrude(fired: list[bool] = fired, **_: object) -> None:
            if not fired:
                fired.append(True)
                world.deploy_by_hand(b'{"by": "hand"}')

        event = f"provide-client-params.appconfig.{operation}"
        world.client.meta.events.register(event, intrude)
        report = world.publish({"a": TIGHT}, urgent=True, after_s=61.0)
        world.client.meta.events.unregister(event, intrude)
        assert fired
        assert report.status == ("in_flight", True)
    assert len(world.store.record().starts) == 1
    assert world.publish({"a": TIGHT}, urgent=True, after_s=61.0).status.code == "deployed"


def test_a_record_that_cannot_be_settled_does_not_deny_the_deployment(world: World):
    """The store went down after the start: AppConfig itself tells the next run."""
    world.store.fail_saves_after = 1
    assert world.publish({"a": TIGHT}).status.code == "deployed"
    world.store.fail_saves_after = None
    assert world.publish({"a": TIGHT}, after_s=61.0).status.code == "unchanged"
    assert world.store.record().intent is None


def test_a_record_that_cannot_be_written_stops_before_the_start(world: World):
    """Without the note the cap could be passed."""
    world.store.fail_saves_after = 0
    with pytest.raises(PortError):
        world.publish({"a": TIGHT})
    assert (world.deployments(), world.versions()) == ([], [])


def test_a_control_plane_that_cannot_be_read_is_a_port_error(world: World):
    """Nothing is known, so nothing is claimed."""
    for operation in ("ListDeployments", "GetHostedConfigurationVersion"):
        world.publish({"a": CALM})
        world.service.faults.fail_next(operation, FaultKind.THROTTLED)
        with pytest.raises(PortError) as caught:
            world.publish({"a": CALM}, by=world.new_publisher())
        assert caught.value.retryable
