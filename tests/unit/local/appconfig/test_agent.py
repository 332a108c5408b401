"""The Agent: when it polls, what it serves while AppConfig fails, and its HTTP face."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from flyball_local.appconfig import AppConfigService, FaultKind, Timing
from flyball_local.virtualclock import VirtualClock

from .conftest import START_S, World


@pytest.fixture
def world():
    """Agents call the service directly, so one face is enough here."""
    clock = VirtualClock(START_S)
    world = World(AppConfigService(clock), clock).set_up()
    yield world
    world.close()


def test_a_new_document_is_seen_at_the_next_poll_not_before(world):
    """Up to 45 s of dead time that the controller must reckon with."""
    world.deployed(b"one")
    agent = world.agent()
    assert agent.get() == b"one"
    world.deployed(b"two")  # 10 s later
    world.clock.advance(34.9)
    assert agent.get() == b"one"
    world.clock.advance(0.1)
    assert agent.get() == b"two"
    assert (agent.configuration_version, agent.polls) == ("2", 2)


def test_an_idle_agent_does_not_poll(world):
    """Between invocations the environment is frozen: polls are driven by reads."""
    world.deployed(b"one")
    agent = world.agent(poll_interval_s=60)
    agent.get()
    before = world.service.usage.requests
    world.clock.advance(3600.0)
    assert world.service.usage.requests == before
    agent.get()
    assert world.service.usage.requests == before + 1


def test_a_thawed_environment_reads_the_old_document_once(world):
    """On Lambda the poll and the handler start together: the first read may be an hour old."""
    world.deployed(b"one")
    agent = world.agent(thaw_stale=True)
    agent.get()
    world.deployed(b"two")
    world.clock.advance(3600.0)
    assert agent.get() == b"one"
    assert not agent.fresh
    assert agent.get() == b"two"
    assert agent.fresh


@pytest.mark.parametrize("kind", list(FaultKind))
def test_while_polls_fail_the_last_document_is_served(world, kind):
    """K3: the store being down must not change what a function does."""
    world.deployed(b"one")
    agent = world.agent()
    agent.get()
    world.service.faults.fail_next("GetLatestConfiguration", kind, count=2)
    world.deployed(b"two")
    for _ in range(2):
        world.clock.advance(45.0)
        assert agent.get() == b"one"
        assert not agent.fresh
    assert agent.failures == 2
    assert agent.last_error is not None
    world.clock.advance(45.0)
    assert agent.get() == b"two"
    assert agent.last_error is None


def test_a_poll_lost_after_its_effect_costs_a_new_session_and_a_second_receive(world):
    """The token was used up unseen; an agent that kept it would poll in vain for ever."""
    world.deployed(b"one")
    agent = world.agent()
    agent.get()
    assert world.service.usage == (2, 1)
    world.service.faults.fail_next("GetLatestConfiguration", FaultKind.TIMEOUT_AFTER_EFFECT)
    world.clock.advance(45.0)
    assert agent.get() == b"one"
    world.clock.advance(45.0)
    assert agent.get() == b"one"
    # Lost poll, refused poll, new session, poll: four requests more, one receive more.
    assert world.service.usage == (6, 2)


def test_an_agent_that_slept_for_two_days_recovers_at_its_first_read(world):
    """Its token has expired; one read finds out, opens a session and gets the news."""
    world.deployed(b"one")
    agent = world.agent()
    agent.get()
    world.deployed(b"two")
    world.clock.advance(48 * 3600.0)
    assert agent.get() == b"two"
    assert agent.failures == 0


def test_with_nothing_ever_received_every_read_asks(world):
    """A function that starts before the first deployment must not wait out an interval."""
    agent = world.agent()
    assert agent.get() is None
    assert agent.get() is None
    assert agent.polls == 2
    world.deployed(b"one")
    assert agent.get() == b"one"


def test_an_agent_polls_as_often_as_it_is_told(world):
    """Below 15 s no interval can be announced, but the polling goes on."""
    world.deployed(b"one")
    agent = world.agent(poll_interval_s=5)
    agent.get()
    world.clock.advance(5.0)
    agent.get()
    assert (agent.polls, agent.failures) == (2, 0)
    with pytest.raises(ValueError, match="poll_interval_s=0"):
        world.agent(poll_interval_s=0)


def test_a_fresh_agent_stays_right_until_the_revision_rises(world):
    """What fast simulations rely on: reads skipped while fresh would have returned the same."""
    world.deployed(b"one")
    agent = world.agent()
    assert not agent.fresh
    agent.get()
    assert agent.fresh
    revision = world.service.revision
    world.start(world.version(b"two"), world.strategy(minutes=2, factor=50.0, bake=1))
    assert agent.fresh  # nobody sees it yet
    assert world.service.next_change_s() == world.clock.now_s() + 1.0 + 40.0
    world.clock.advance(41.0)
    assert world.service.revision == revision + 1
    assert not agent.fresh
    world.clock.advance(600.0)
    assert world.service.next_change_s() is None
    agent.get()
    assert agent.fresh
    assert agent.get() == b"two"


def test_while_a_change_spreads_the_revision_rises_with_time():
    """Readers differ from moment to moment, so no read may be skipped."""
    clock = VirtualClock(START_S)
    world = World(AppConfigService(clock, timing=Timing(propagation_s=30.0)), clock).set_up()
    world.start(world.version(b"one"), world.strategy())
    clock.advance(1.0)
    first = world.service.revision
    assert world.service.next_change_s() == clock.now_s()
    clock.advance(10.0)
    second = world.service.revision
    clock.advance(60.0)
    third = world.service.revision
    clock.advance(60.0)
    assert first < second < third == world.service.revision
    assert world.service.next_change_s() is None
    world.close()


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
        return answer.status, dict(answer.headers), answer.read()


def failing(url):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(url)
    with caught.value as error:
        return error.code, error.read()


def test_over_http_the_document_comes_with_its_version(world):
    """The address and the header are those of the Lambda extension, names or ids in the path."""
    world.version(b'{"a": 1}', VersionLabel="first one!")
    world.start(1, world.strategy())
    world.clock.advance(10.0)
    with world.service.agent_server() as server:
        assert server.url.startswith("http://127.0.0.1:")
        path = f"{server.url}/applications/shop/environments/prod/configurations"
        status, headers, body = get(f"{path}/flyball")
        assert (status, body) == (200, b'{"a": 1}')
        assert headers["Configuration-Version"] == "1"
        assert headers["Version-Label"] == "first one!"
        assert headers["Content-Type"] == "application/json"
        assert get(f"{path}/{world.profile}")[2] == body
        used = world.service.usage
        get(f"{path}/flyball")
        assert world.service.usage == used  # one agent per configuration, and it caches


def test_over_http_what_cannot_be_served_has_a_status(world):
    """No document is never 200 with an empty body."""
    with world.service.agent_server() as server:
        path = f"{server.url}/applications/shop/environments/prod/configurations"
        assert failing(f"{path}/nobody")[0] == 404
        assert failing(f"{path}/flyball")[0] == 404  # nothing deployed yet
        assert failing(f"{server.url}/nowhere")[0] == 404
        assert failing(f"{path}/flyball?flag=x")[0] == 501
        world.service.faults.fail_next("StartConfigurationSession", FaultKind.TIMEOUT_BEFORE_EFFECT)
        world.deployed(b"one")
        assert failing(f"{path}/{world.profile}")[0] == 500
        assert failing(urllib.request.Request(f"{path}/flyball", method="POST", data=b""))[0] == 405  # noqa: S310
        assert get(f"{path}/flyball")[2] == b"one"
