"""Edits by hand: what counts as one, whose targets they are, and what the publisher does about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import Document, RetryParams, TargetParams, encode_document
from flyball_controller.aws.operator_publisher import OperatorPublisher
from flyball_controller.drift import DEFAULTS, edited_targets, is_edit
from integration.appconfig_world import CALM, LOOSE, TIGHT, World

PARAMS = st.sampled_from([CALM, TIGHT, LOOSE])
DOCUMENTS = st.builds(
    Document,
    revision=st.integers(1, 9),
    generated_at=st.just(""),
    policy_hash=st.just("p"),
    targets=st.dictionaries(st.sampled_from("abc"), PARAMS),
    defaults=PARAMS,
)


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may leave the process."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_APPCONFIG", "https://appconfig.invalid")


@pytest.fixture
def world() -> World:
    """An account in which the publisher has published two targets."""
    world = World()
    world.publish({"a": CALM, "b": CALM})
    world.clock.advance(61.0)
    return world


def edit(world: World, **targets: TargetParams) -> None:
    """Deploy the standing document with other parameters, by hand."""
    standing = world.seen_by_a_client()
    document = standing._replace(targets={**standing.targets, **targets}, revision=standing.revision + 1)
    world.deploy_by_hand(encode_document(document))


@pytest.mark.parametrize(
    ("standing", "published", "intended", "rolled_back", "expected"),
    [
        ("b", "a", "", (), True),
        ("a", "a", "", (), False),
        ("b", "", "", (), False),  # the first look: whatever stands is taken as it is
        ("", "a", "", (), False),  # nothing stands
        ("b", "a", "b", (), False),  # our own, whose reply was lost
        ("b", "a", "c", (), True),
        ("unreadable:3", "a", "", (), False),  # no client obeys it either
        ("b", "a", "", ("a",), False),  # AppConfig went back
        ("b", "a", "", ("c",), True),
    ],
)
def test_an_edit_is_a_content_that_is_not_ours(standing, published, intended, rolled_back, expected):
    """One line per way that a content can come to stand."""
    found = is_edit(standing=standing, published=published, intended=intended, rolled_back=rolled_back)
    assert found is expected


@given(DOCUMENTS, DOCUMENTS)
def test_the_edited_targets_are_exactly_those_that_differ(before, after):
    """Too few would be overwritten, too many would be left without the controller."""
    found = edited_targets(before, after)
    assert found == tuple(sorted(found))
    for name in "abc":
        assert (name in found) == (before.targets.get(name) != after.targets.get(name))
    assert (DEFAULTS in found) == (before.defaults != after.defaults)


def test_what_a_person_changed_is_left_alone_and_the_rest_goes_on(world: World):
    """The controller neither fights nor stops."""
    edit(world, a=TIGHT)
    first = world.publish({"a": LOOSE, "b": LOOSE}, after_s=61.0)
    assert (first.status.code, first.found_edited, first.kept_edited) == ("deployed", ("a",), ("a",))
    world.clock.advance(30.0)
    assert world.seen_by_a_client().targets == {"a": TIGHT, "b": LOOSE}
    again = world.publish({"a": CALM, "b": LOOSE}, after_s=61.0)
    assert (again.status.code, again.found_edited, again.kept_edited) == ("unchanged", (), ("a",))


def test_an_edit_is_remembered_by_the_next_controller(world: World):
    """A cold start must not be the end of somebody's decision."""
    edit(world, a=TIGHT)
    world.publish({"a": CALM}, after_s=61.0)
    world.clock.advance(30.0)
    report = world.publish({"a": LOOSE}, after_s=4_000.0, by=world.new_publisher())
    assert (report.status.code, report.kept_edited) == ("unchanged", ("a",))


def test_several_edits_add_up(world: World):
    """Two people, two targets, two nights."""
    edit(world, a=TIGHT)
    world.publish({"a": CALM}, after_s=61.0)
    edit(world, b=LOOSE)
    report = world.publish({"a": CALM, "b": CALM}, after_s=61.0)
    assert (report.found_edited, report.kept_edited) == (("b",), ("a", "b"))


def test_edited_defaults_are_left_alone_too(world: World):
    """They count for every target that the document does not name."""
    standing = world.seen_by_a_client()
    other = TargetParams(retry=RetryParams(max_attempts=1))
    world.deploy_by_hand(encode_document(standing._replace(defaults=other, revision=9)))
    report = world.publish({"a": LOOSE}, after_s=61.0)
    assert (report.status.code, report.kept_edited) == ("deployed", (DEFAULTS,))
    world.clock.advance(30.0)
    assert world.seen_by_a_client().defaults == other


def test_a_target_that_a_person_removed_is_not_put_back(world: World):
    """Its clients are to use the defaults."""
    standing = world.seen_by_a_client()
    world.deploy_by_hand(encode_document(standing._replace(targets={"b": CALM}, revision=9)))
    report = world.publish({"a": TIGHT, "b": TIGHT}, after_s=61.0)
    assert report.kept_edited == ("a",)
    world.clock.advance(30.0)
    assert world.seen_by_a_client().targets == {"b": TIGHT}


def test_our_own_content_deployed_again_by_hand_is_no_edit(world: World):
    """The console's "deploy again" changes nothing."""
    world.deploy_by_hand(encode_document(world.seen_by_a_client()))
    report = world.publish({"a": LOOSE}, after_s=61.0)
    assert (report.status.code, report.kept_edited) == ("deployed", ())


def test_a_rollback_by_appconfig_is_no_edit(world: World):
    """The content that stands again is ours; what was undone is on hold anyway (A5)."""
    world.publish({"a": TIGHT}, after_s=61.0)
    world.stop(2)
    report = world.publish({"a": LOOSE}, after_s=61.0)
    assert (report.status.code, report.kept_edited) == ("deployed", ())


def test_without_the_published_version_every_target_counts_as_edited(world: World):
    """Nobody can say any more which were meant; none is overwritten."""
    ids = world.ids
    standing = world.seen_by_a_client()
    world.deploy_by_hand(encode_document(standing._replace(targets={"a": TIGHT, "b": CALM}, revision=9)))
    world.client.delete_hosted_configuration_version(
        ApplicationId=ids.application_id, ConfigurationProfileId=ids.profile_id, VersionNumber=1
    )
    report = world.publish({"a": LOOSE, "b": LOOSE}, after_s=61.0, by=world.new_publisher())
    assert report.kept_edited == ("a", "b")


def test_a_deployment_whose_reply_and_record_were_lost_is_known_by_its_intent(world: World):
    """A crash between start and settle must not turn our own document into somebody's edit."""
    world.store.fail_saves_after = world.store.saves + 1  # the intent is saved, the outcome is not
    assert world.publish({"a": TIGHT}, after_s=61.0).status.code == "deployed"
    world.store.fail_saves_after = None
    assert world.store.record().intent is not None
    report = world.publish({"a": LOOSE}, after_s=61.0, by=world.new_publisher())
    assert (report.status.code, report.kept_edited) == ("deployed", ())


def test_an_edit_over_what_appconfig_went_back_to_is_an_edit(world: World):
    """An alarm rolls back and somebody edits before the controller looks: the edit is theirs (A7)."""
    world.publish({"a": TIGHT}, after_s=61.0)
    world.stop(2)
    world.clock.advance(1.0)
    edit(world, b=TIGHT)
    world.clock.advance(61.0)
    report = world.publish({"a": LOOSE, "b": LOOSE}, after_s=61.0)
    assert "b" in report.kept_edited
    world.clock.advance(30.0)
    assert world.seen_by_a_client().targets["b"] == TIGHT


def test_a_person_who_comes_first_after_a_rollback_does_not_lift_its_hold(world: World):
    """What AppConfig undid stays undone for the hold, whoever sees the rollback first (A5)."""
    world.publish({"a": TIGHT}, after_s=61.0)
    world.stop(2)
    people = OperatorPublisher(world.client, **world.ids._asdict(), checkpoints=world.store)
    now_s = world.clock.now_s() + 1.0
    standing = people.live(now_s=now_s)
    assert standing.document is not None
    theirs = standing.document._replace(targets={"a": CALM, "b": LOOSE})
    done = people.deploy(theirs, over=standing.content, edited=(), now_s=now_s)
    assert done.status.code == "deployed"
    world.clock.advance(61.0)
    again = world.publish({"a": TIGHT, "b": CALM}, after_s=61.0)
    assert again.status.code == "held"


def test_a_person_may_deploy_what_was_rolled_back(world: World):
    """The hold binds the automation, not people: they saw it fail."""
    world.publish({"a": TIGHT}, after_s=61.0)
    world.clock.advance(30.0)
    undone = world.seen_by_a_client()
    assert undone.targets["a"] == TIGHT
    world.stop(2)
    people = OperatorPublisher(world.client, **world.ids._asdict(), checkpoints=world.store)
    standing = people.live(now_s=world.clock.now_s())
    done = people.deploy(undone, over=standing.content, edited=(), now_s=world.clock.now_s())
    assert done.status.code == "deployed"
