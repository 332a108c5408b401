"""AppConfig without the Agent: single-use tokens, empty bodies, intervals, and no loop with a dead token.

Fidelity: emulator; boto3's own client in front, every call held to the service model.
"""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.appconfigdata import AppConfigDataDocuments
from flyball.contract import DOCUMENT_BYTES_MAX, ContractError, encode_document
from flyball.errors import SettingsError, SourceError
from flyball.sources import DOCUMENT_AGE_S, cached_document
from flyball_local.appconfig import FaultKind
from unit.client.appconfig_world import DAY_S, NAMES, World, document


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_asked_before_the_first_read(world):
    """Not on the import path, not when declared: a cold start with AppConfig down must not fail."""
    world.source()
    assert world.polls() == (0, 0)


def test_a_document_is_received_once_and_then_only_news(world):
    """An empty body means unchanged, never an empty document; what is received is paid for."""
    world.deploy(1)
    source = world.source()
    assert source.read() == document(1)
    for _ in range(3):
        world.clock.advance(60.0)
        assert source.read() is None
    world.deploy(2)
    world.clock.advance(60.0)
    assert source.read() == document(2)
    assert world.polls() == (1, 5)
    assert world.service.usage.receives == 2


@pytest.mark.parametrize("poll_s", [15, 120])
def test_nothing_is_asked_before_the_services_interval_is_over(world, poll_s):
    """However often the cache comes by; the emulator answers 400 to a poll that is early."""
    world.deploy(1)
    source = world.source(poll_s=poll_s)
    source.read()
    for _ in range(poll_s - 1):
        world.clock.advance(1.0)
        assert source.read() is None
    assert world.polls() == (1, 1)
    world.clock.advance(1.0)
    source.read()
    assert world.polls() == (1, 2)


@pytest.mark.parametrize("poll_s", [14, 86_401, 60.5, float("nan")])
def test_an_interval_that_appconfig_refuses_is_refused_at_the_declaration(poll_s):
    """Else every read would fail, and only the log would know."""
    with pytest.raises(SettingsError) as caught:
        AppConfigDataDocuments(*NAMES, poll_s=poll_s)
    assert caught.value.field == "poll_s"


def test_an_environment_that_slept_for_two_days_reads_at_its_first_call(world):
    """Its token expired after 24 h: a new session within the same read, not a dead token for ever."""
    world.deploy(1)
    source = world.source()
    source.read()
    world.deploy(2)
    world.clock.advance(2 * DAY_S)
    world.clocks[0].lost_s = 2 * DAY_S  # and its monotonic clock saw nothing of it
    assert source.read() == document(2)
    assert source.sessions == 2
    world.clock.advance(60.0)
    assert source.read() is None
    assert world.polls() == (2, 4), "poll, refused poll, poll of the new session, poll"


def test_clones_of_one_snapshot_share_a_token_and_all_get_the_document(world):
    """SnapStart freezes the chain; the first clone to poll spends the token for all."""
    world.deploy(1)
    template = world.source()
    template.read()
    clones = [copy.copy(template) for _ in range(5)]
    world.deploy(2)
    world.clock.advance(60.0)
    assert [clone.read() for clone in clones] == [document(2)] * 5
    assert [clone.sessions for clone in clones] == [1, 2, 2, 2, 2]


def test_a_wall_clock_that_jumps_ahead_costs_one_session(world):
    """PollIntervalNotSatisfied: asked too early, because one of two clocks said so."""
    world.deploy(1)
    source = world.source()
    source.read()
    world.clocks[0].skew_s = 3_600.0
    assert source.read() == document(1)
    for _ in range(10):
        assert source.read() is None
    assert (world.polls(), world.early) == ((2, 3), 1)


def test_a_wall_clock_that_was_set_back_does_not_stop_the_polling(world):
    """K6: 60 s went by, says the other clock; else an hour set back is an hour without news."""
    world.deploy(1)
    source = world.source()
    source.read()
    world.deploy(2)
    world.clock.advance(50.0)
    world.clocks[0].skew_s = -30.0
    assert source.read() == document(2)
    assert (source.sessions, world.early) == (1, 0)


def test_a_throttled_poll_keeps_its_token(world):
    """Nothing was done: the chain goes on, and nothing is received twice."""
    world.deploy(1)
    source = world.source()
    source.read()
    world.clock.advance(60.0)
    world.service.faults.fail_next("GetLatestConfiguration", FaultKind.THROTTLED, count=2)
    for _ in range(2):
        with pytest.raises(SourceError):
            source.read()
    assert source.read() is None
    assert (source.sessions, world.service.usage.receives) == (1, 1)


@pytest.mark.parametrize(
    "fault", [FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.TIMEOUT_BEFORE_EFFECT, FaultKind.SERVER_ERROR]
)
def test_a_document_whose_answer_was_lost_is_received_by_the_next_read(world, fault):
    """AppConfig believes that it was delivered: going on with the chain would be "unchanged" for ever."""
    world.deploy(1)
    source = world.source()
    source.read()
    world.deploy(2)
    world.clock.advance(60.0)
    world.service.faults.fail_next("GetLatestConfiguration", fault)
    with pytest.raises(SourceError):
        source.read()
    assert source.read() == document(2), "at once: the pause is the cache's affair"
    assert source.sessions == 2


def test_before_any_deployment_the_source_is_down_and_then_up(world):
    """AppConfig answers 404; the compiled-in defaults hold meanwhile."""
    source = world.source()
    with pytest.raises(SourceError):
        source.read()
    world.deploy(1)
    assert source.read() == document(1)


def test_a_session_that_cannot_be_opened_is_an_outage(world):
    """Wrong names, no permission, throttled: the cache backs off."""
    source = AppConfigDataDocuments("nobody", "prod", "flyball", client=world.data)
    for reads in (1, 2):
        with pytest.raises(SourceError, match="ResourceNotFound"):
            source.read()
        assert world.polls() == (reads, 0)


def test_a_bad_document_is_told_apart_and_the_chain_goes_on(world):
    """A3: keep the last good one and keep polling; a new session would pay for the bad one at every poll."""
    world.start(b"nonsense")
    world.clock.advance(10.0)
    source = world.source()
    with pytest.raises(ContractError):
        source.read()
    world.clock.advance(60.0)
    assert source.read() is None
    world.deploy(3)
    world.clock.advance(60.0)
    assert source.read() == document(3)
    assert source.sessions == 1


def test_a_document_that_is_too_large_is_refused(world):
    """64 KiB; AppConfig itself takes 2 MB."""
    world.start(b'{"a":"' + b"x" * DOCUMENT_BYTES_MAX + b'"}')
    world.clock.advance(10.0)
    with pytest.raises(ContractError):
        world.source().read()


def test_a_staggered_roll_out_reaches_each_environment_once_and_never_goes_back(world):
    """Old and new coexist for minutes (A4), also for environments that lose their token meanwhile."""
    world.deploy(1)
    caches = [cached_document(world.source()) for _ in range(50)]
    seen: list[list[int]] = [[] for _ in caches]
    world.start(encode_document(document(2)), minutes=5, factor=20.0)
    for _ in range(7):
        for number, (cache, clock) in enumerate(zip(caches, world.clocks, strict=True)):
            if number % 7 == 0:  # these open a new session each time, and may find the old document there
                cache._source._token = None
            cache.refresh(clock.wall_s(), clock.monotonic_s(), 0.0)
            seen[number].append(cache.value.revision)
        world.clock.advance(66.0)
    assert all(revisions == sorted(revisions) and revisions[-1] == 2 for revisions in seen)
    assert 0 < sum(revisions[2] == 2 for revisions in seen) < 50


def test_a_store_that_is_down_costs_one_read_per_growing_pause(world):
    """K3 and O5: stale is served, one request per pause of 1, 2, 4, 8 s, and it recovers by itself."""
    world.deploy(1)
    cache, clock = cached_document(world.source()), world.clocks[0]
    cache.refresh(clock.wall_s(), clock.monotonic_s(), 0.0)
    world.deploy(2)
    world.service.faults.fail_next("GetLatestConfiguration", FaultKind.TIMEOUT_BEFORE_EFFECT)
    world.service.faults.fail_next("StartConfigurationSession", FaultKind.THROTTLED, count=3)
    asked = []
    for second in range(100):
        before = sum(world.polls())
        if cache.due(clock.wall_s(), clock.monotonic_s()):
            cache.refresh(clock.wall_s(), clock.monotonic_s(), 0.0)
        if sum(world.polls()) > before:
            asked.append(second)
        world.clock.advance(1.0)
    # The cache came by 10 s into the interval (deploying took them); the sixth visit is after 60 s.
    assert asked[:5] == [50, 51, 53, 57, 65]
    assert (cache.value.revision, cache.failed) == (2, 4)


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_happens_the_newest_document_arrives_when_it_is_quiet_again(data):
    """Over arbitrary histories: no way to stay on a dead token, no step back, no poll that is early.

    Safety in every step, progress in a quiet end: within three minutes every
    environment has the newest document.
    """
    world = World()
    world.deploy(0)
    caches = [cached_document(world.source()), cached_document(world.source(poll_s=15))]
    newest = 0

    def visit(count: int) -> None:
        for _ in range(count):
            for cache, clock in zip(caches, world.clocks, strict=True):
                before = None if cache.value is None else cache.value.revision
                if cache.due(clock.wall_s(), clock.monotonic_s()):
                    cache.refresh(clock.wall_s(), clock.monotonic_s(), 0.0)
                assert before is None or cache.value.revision >= before
            world.clock.advance(DOCUMENT_AGE_S)

    faults = st.tuples(
        st.sampled_from(["GetLatestConfiguration", "StartConfigurationSession"]),
        st.sampled_from(list(FaultKind)),
        st.integers(1, 5),
    )
    for _ in range(data.draw(st.integers(0, 12))):
        kind = data.draw(st.sampled_from(["visit", "deploy", "fault", "freeze", "bad"]))
        if kind == "visit":
            visit(data.draw(st.integers(1, 20)))
        elif kind == "deploy":
            newest += 1
            world.deploy(newest)
        elif kind == "bad":
            world.start(b"{")
            world.clock.advance(10.0)
        elif kind == "freeze":
            asleep_s = data.draw(st.floats(0.0, 3 * DAY_S))
            world.clock.advance(asleep_s)
            for clock in world.clocks:
                clock.lost_s += asleep_s
        else:
            operation, fault, count = data.draw(faults)
            world.service.faults.fail_next(operation, fault, count=count)
    world.service.faults.clear()
    newest += 1
    world.deploy(newest)
    visit(18)
    assert [cache.value.revision for cache in caches] == [newest, newest]
    assert world.early == 0
    quiet = world.polls()[0]
    visit(30)
    assert world.polls()[0] == quiet, "no session is opened while nothing is wrong"
