"""The data plane: tokens, empty bodies, intervals, partial roll-outs, and what is paid for."""

from __future__ import annotations

import pytest

from flyball_local.appconfig import Timing

from .conftest import refused

DAY_S = 24 * 3600.0


def problem(answer):
    assert answer["Reason"] == "InvalidParameters"
    return answer["Details"]["InvalidParameters"]["ConfigurationToken"]["Problem"]


def test_the_first_poll_brings_the_document_and_later_ones_only_news(world):
    """An empty body means unchanged, never an empty configuration."""
    world.version(b"zero")
    world.deployed(b"one")
    body, token, answer = world.poll(world.session())
    assert body == b"one"
    assert (answer["ContentType"], answer["NextPollIntervalInSeconds"]) == ("application/json", 60)
    body, token, _ = world.poll(token)
    assert body == b""
    world.deployed(b"two")
    body, token, _ = world.poll(token)
    assert body == b"two"
    assert world.service.usage == (4, 2)


def test_a_session_is_opened_by_names_too(world):
    """The data plane, unlike the control plane, documents names."""
    world.deployed(b"one")
    world.app, world.env, world.profile = "shop", "prod", "flyball"
    assert world.poll(world.session())[0] == b"one"


@pytest.mark.parametrize(
    ("attribute", "kind", "parameter"),
    [
        ("app", "Application", "ApplicationIdentifier"),
        ("env", "Environment", "EnvironmentIdentifier"),
        ("profile", "ConfigurationProfile", "ConfigurationProfileIdentifier"),
    ],
)
def test_what_is_not_found_is_named(world, attribute, kind, parameter):
    """The model has fields for it; a caller can tell a wrong name from a missing deployment."""
    setattr(world, attribute, "nobody")
    answer = refused("ResourceNotFoundException", world.session)
    assert answer["ResourceType"] == kind
    assert answer["ReferencedBy"] == {parameter: "nobody"}


def test_a_token_is_good_for_one_poll(world):
    """A client that retries with an old token after a lost reply is answered 400, not served."""
    world.deployed(b"one")
    token = world.session()
    world.poll(token)
    assert problem(refused("BadRequestException", world.poll, token=token)) == "Expired"


def test_a_token_is_good_for_a_day(world):
    """A frozen environment that thaws tomorrow must open a new session."""
    world.deployed(b"one")
    fresh, old = world.session(), world.session()
    world.clock.advance(DAY_S)
    _, fresh, _ = world.poll(fresh)
    world.clock.advance(1.0)
    assert problem(refused("BadRequestException", world.poll, token=old)) == "Expired"
    world.clock.advance(DAY_S - 1.0)
    world.poll(fresh)


@pytest.mark.parametrize("token", ["nonsense", "9.0.abc", "0.7.abc", "0.x.abc", "0"])
def test_a_token_nobody_issued_is_corrupted(world, token):
    """Invented tokens, also such as look like ours."""
    world.deployed(b"one")
    world.session()
    assert problem(refused("BadRequestException", world.poll, token=token)) == "Corrupted"


def test_polling_below_the_required_interval_is_refused_and_the_token_stays_good(world):
    """The interval a session asks for binds the session itself."""
    world.deployed(b"one")
    _, token, answer = world.poll(world.session(RequiredMinimumPollIntervalInSeconds=30))
    assert answer["NextPollIntervalInSeconds"] == 30
    world.clock.advance(29.0)
    assert problem(refused("BadRequestException", world.poll, token=token)) == "PollIntervalNotSatisfied"
    world.clock.advance(1.0)
    assert world.poll(token)[0] == b""


def test_before_any_deployment_there_is_nothing_to_get(world):
    """Not an empty document: the reader must fall back to its defaults."""
    token = world.session()
    assert refused("ResourceNotFoundException", world.poll, token=token)["ResourceType"] == "Deployment"
    world.deployed(b"one")
    assert world.poll(token)[0] == b"one"


def test_the_label_comes_with_the_news_only(world):
    """The model says so: empty if the client already has the version."""
    world.version(b"one", VersionLabel="v1.0-rc")
    world.start(1, world.strategy())
    world.clock.advance(10.0)
    _, token, answer = world.poll(world.session())
    assert answer["VersionLabel"] == "v1.0-rc"
    assert "VersionLabel" not in world.poll(token)[2]


def test_a_partial_roll_out_reaches_its_share_and_never_takes_a_version_back(make_world):
    """Old and new coexist for minutes (A4), and who got the new one keeps it while the share grows."""
    world = make_world(seed=3).set_up()
    world.deployed(b"old")
    tokens = [world.session() for _ in range(200)]
    world.start(world.version(b"new"), world.strategy(minutes=5, factor=20.0))
    have_new = set()
    shares = []
    for _ in range(6):
        world.clock.advance(51.0)
        for number, token in enumerate(tokens):
            body, tokens[number], _ = world.poll(token)
            assert body != b"old" or number not in have_new
            if body == b"new":
                have_new.add(number)
        shares.append(len(have_new))
    # 200 sessions at 20 % steps: 40 each, within three binomial standard deviations (17).
    for step, share in enumerate(shares):
        assert abs(share - min(200, 40 * (step + 1))) <= 21, shares
    assert shares[4] == 200


def test_a_change_spreads_over_the_propagation_time(make_world):
    """Readers do not all see a version at once, even at 100 %."""
    world = make_world(timing=Timing(propagation_s=30.0)).set_up()
    world.deployed(b"old")
    world.clock.advance(60.0)
    tokens = [world.poll(world.session())[1] for _ in range(60)]
    world.start(world.version(b"new"), world.strategy())
    counts = []
    for _ in range(4):
        world.clock.advance(11.0)
        seen = 0
        for number, token in enumerate(tokens):
            body, tokens[number], _ = world.poll(token)
            seen += body == b"new"
        counts.append(seen)
    assert sum(counts) == 60
    assert all(count > 8 for count in counts[:3])
    assert counts[3] == 0


def test_the_price_counts_requests_and_receives(world):
    """Receives dominate: 0.0008 USD each against 0.0000002 USD per request (secondary sources)."""
    world.deployed(b"one")
    _, token, _ = world.poll(world.session())
    world.poll(token)
    usage = world.service.usage
    assert usage == (3, 1)
    assert usage.usd == pytest.approx(0.0008006)
