"""Replies of AppConfig's data API that no emulator gives: nonsense, torn bodies, refusals without end."""

from __future__ import annotations

import sys
from io import BytesIO

import pytest

from flyball.agent import AgentDocuments
from flyball.appconfigdata import AppConfigDataDocuments
from flyball.contract import encode_document
from flyball.environment import from_environment
from flyball.errors import SettingsError, SourceError
from flyball_local.virtualclock import VirtualClock
from unit.client.appconfig_world import NAMES, NOW_S, ClientClock, document


class Answers:
    """A data-plane client that answers from a script; it stands for replies that the emulator cannot give."""

    def __init__(self, *replies: object) -> None:
        self.replies = list(replies)
        self.tokens: list[str] = []

    def start_configuration_session(self, **_: object) -> dict[str, object]:
        return {"InitialConfigurationToken": "first"}

    def get_latest_configuration(self, *, ConfigurationToken: str) -> object:  # noqa: N803
        self.tokens.append(ConfigurationToken)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def answer(body: bytes, **fields: object) -> dict[str, object]:
    return {"Configuration": BytesIO(body), "NextPollConfigurationToken": "next", **fields}


class Torn(BytesIO):
    """A body that is shorter than promised; the SDK notices when it is read to the end."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            raise OSError("IncompleteRead")
        return super().read(size)


@pytest.mark.parametrize("named", [None, True, -1, 1e9, "60", 86_401])
def test_an_interval_that_is_none_is_taken_as_the_usual_one(named):
    """A service that names nonsense is neither hammered nor forgotten."""
    world = VirtualClock(NOW_S)
    client = Answers(answer(b"", NextPollIntervalInSeconds=named), answer(b""))
    source = AppConfigDataDocuments(*NAMES, client=client, clock=ClientClock(world))
    source.read()
    world.advance(59.9)
    source.read()
    assert client.tokens == ["first"]
    world.advance(0.1)
    source.read()
    assert client.tokens == ["first", "next"]


def test_a_torn_body_is_read_again_in_a_new_session():
    """Half a document is no document, and the chain would not bring it twice."""
    whole = encode_document(document(1))
    torn = {**answer(b""), "Configuration": Torn(whole[:20])}
    source = AppConfigDataDocuments(*NAMES, client=Answers(torn, answer(whole)))
    with pytest.raises(SourceError):
        source.read()
    assert source.read() == document(1)
    assert source.sessions == 2


class RefusedError(Exception):
    """As botocore's ClientError carries it."""

    def __init__(self, response: object) -> None:
        self.response = response


@pytest.mark.parametrize("response", [None, {}, {"Error": None}, {"Error": {"Code": 7}}])
def test_an_error_without_a_code_is_an_outage(response):
    """Decided on codes, never on message texts."""
    source = AppConfigDataDocuments(*NAMES, client=Answers(RefusedError(response)))
    with pytest.raises(SourceError):
        source.read()


def test_a_new_session_that_is_refused_as_well_ends_the_read():
    """At most one new session per read, whatever the service says."""
    bad = RefusedError({"Error": {"Code": "BadRequestException"}})
    client = Answers(answer(b"", NextPollIntervalInSeconds=0), bad, bad, answer(b""))
    source = AppConfigDataDocuments(*NAMES, client=client)
    source.read()
    with pytest.raises(SourceError):
        source.read()
    assert client.tokens == ["first", "next", "first"]


def test_without_the_sdk_the_source_is_down_and_says_why(monkeypatch):
    """The client is standard library only; the rest of it goes on."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SourceError, match="boto3"):
        AppConfigDataDocuments(*NAMES).read()


def source_of(**variables: str) -> object:
    return from_environment(variables)._document._read.__self__


def test_an_environment_variable_names_the_document():
    """The Agent counts if both are given: AppConfig charges for every poll that it saves."""
    assert isinstance(source_of(FLYBALL_APPCONFIG="shop/prod/flyball"), AppConfigDataDocuments)
    both = source_of(FLYBALL_APPCONFIG="shop/prod/flyball", FLYBALL_AGENT="shop/prod/flyball")
    assert isinstance(both, AgentDocuments)


def test_a_name_that_is_none_is_refused_at_the_first_declaration():
    """In the deployment's own test, not in the incident."""
    with pytest.raises(SettingsError) as caught:
        source_of(FLYBALL_APPCONFIG="shop/prod")
    assert caught.value.field == "FLYBALL_APPCONFIG"
