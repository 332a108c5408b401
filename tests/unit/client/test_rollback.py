"""A lower revision is an order where its source can tell, and stale everywhere else (K2, A4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.agent import AgentDocuments
from flyball.contract import DEFAULT_PARAMS, Document, RetryParams, encode_document
from flyball.environment import Runtime
from flyball.guard import target
from flyball.hooks import ParamsApplied
from flyball.sources import CachedDocument, FileDocuments, cached_document
from flyball.testing import with_params
from flyball_local.loopback import HttpReply, LoopbackServer
from unit.client.appconfig_world import NAMES, World
from unit.client.support import ScriptedReads

POLL_S = 66.0  # later than every poll is due


def document(revision: int) -> Document:
    """As many attempts as the revision says, so that what is obeyed can be seen."""
    params = DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=revision))
    return Document(revision, "", "", {"t": params})


@pytest.fixture
def world() -> World:
    world = World()
    for revision in (1, 2):
        world.start(encode_document(document(revision)))
        world.clock.advance(10.0)
    return world


def undo(world: World, number: int, *, completed: bool) -> None:
    """Stop the deployment, or revert it if it has completed."""
    extra: dict[str, Any] = {"AllowRevert": True} if completed else {}
    world.control.stop_deployment(
        ApplicationId=world.app, EnvironmentId=world.env, DeploymentNumber=number, **extra
    )
    world.clock.advance(10.0)


def follow(world: World, cache: CachedDocument) -> Callable[[], int]:
    """Poll once more, a minute later; the revision that is obeyed then."""
    clock = world.clocks[0]

    def revision() -> int:
        world.clock.advance(POLL_S)
        cache.refresh(clock.wall_s(), clock.monotonic_s(), 0.0)
        assert cache.value is not None
        return cache.value.revision

    return revision


# --- AppConfig's data API -----------------------------------------------------------------


def by_stop(world: World) -> None:
    undo(world, world.start(encode_document(document(3)), bake=10), completed=False)


def by_revert(world: World) -> None:
    number = world.start(encode_document(document(3)))
    world.clock.advance(10.0)
    undo(world, number, completed=True)


def by_alarm(world: World) -> None:
    """The user's own monitor, while the deployment bakes."""
    world.start(encode_document(document(3)), bake=10)
    world.clock.advance(100.0)
    world.alarm = "ALARM"
    world.clock.advance(200.0)
    world.alarm = "OK"


@pytest.mark.parametrize("roll_back", [by_stop, by_revert, by_alarm])
@pytest.mark.parametrize("seen", [True, False])
def test_a_roll_back_takes_every_client_back(world, roll_back, seen):
    """Also one that never saw what was withdrawn; and the next document reaches it."""
    cache = cached_document(world.source())
    revision = follow(world, cache)
    assert revision() == 2
    if seen:
        number = world.start(encode_document(document(4)), bake=10)
        assert revision() == 4
        undo(world, number, completed=False)
        assert revision() == 2
        assert cache.withdrawn == 4
    roll_back(world)
    assert revision() == 2
    assert cache.older == 0
    world.start(encode_document(document(4)))
    assert revision() == 4


def test_what_a_new_session_shows_first_is_not_believed_at_once(world):
    """It may stand elsewhere in a roll-out; one poll later nothing newer has come, so it holds."""
    source = world.source()
    cache = cached_document(source)
    revision = follow(world, cache)
    number = world.start(encode_document(document(3)), bake=10)
    assert revision() == 3
    undo(world, number, completed=False)
    source._token = None  # lost with an answer
    assert revision() == 3
    assert cache.older == 1
    assert revision() == 2
    assert (revision(), cache.older) == (2, 1)


def test_a_new_session_that_moves_on_is_obeyed_with_what_came(world):
    """It was behind for a moment: the client never went back."""
    source = world.source()
    cache = cached_document(source)
    revision = follow(world, cache)
    number = world.start(encode_document(document(3)), bake=10)
    assert revision() == 3
    undo(world, number, completed=False)
    source._token = None
    assert revision() == 3
    world.start(encode_document(document(4)))
    assert revision() == 4
    assert (revision(), cache.withdrawn) == (4, -1)


def test_nothing_is_believed_of_a_session_that_went_on_to_something_unreadable(world):
    """A3: the last good one is kept, and that is not the one in doubt."""
    source = world.source()
    cache = cached_document(source)
    revision = follow(world, cache)
    number = world.start(encode_document(document(3)), bake=10)
    assert revision() == 3
    undo(world, number, completed=False)
    source._token = None
    assert revision() == 3
    world.start(b'{"schema": 9}')
    assert [revision(), revision()] == [3, 3]
    assert cache.bad == 1


# --- the Agent ----------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["fresh", "thaws stale"])
def agent(request: pytest.FixtureRequest, world: World) -> Iterator[AgentDocuments]:
    with world.service.agent_server(thaw_stale=request.param) as server:
        port = urlsplit(server.url).port
        assert port is not None
        yield AgentDocuments(*NAMES, host="127.0.0.1", port=port)


def test_the_agents_version_tells_a_roll_back(world, agent):
    """The same through the Agent, also if its first answer after a freeze is the old one."""
    world.source()  # for its clock
    revision = follow(world, cached_document(agent))
    assert revision() == 2
    number = world.start(encode_document(document(3)), bake=10)
    assert {revision(), revision()} <= {2, 3}
    assert revision() == 3
    undo(world, number, completed=False)
    assert [revision(), revision(), revision()][1:] == [2, 2]


@pytest.mark.parametrize(
    ("answers", "obeyed"),
    [
        ([(2, "7"), (3, "8"), (2, "7")], [2, 3, 2]),
        ([(2, "7"), (3, "8"), (2, "8")], [2, 3, 3]),  # a cache that mixes them up
        ([(2, None), (3, None), (2, None)], [2, 3, 3]),  # names no versions
        ([(2, None), (3, "8"), (2, None)], [2, 3, 3]),
        ([(3, "8"), (2, "8"), (2, "7")], [3, 3, 2]),
        ([(3, "8"), (3, "7"), (2, "7")], [3, 3, 2]),  # the header came before its document
        ([(3, "8"), (2, "7"), (3, "8"), (2, "7")], [3, 2, 3, 2]),
    ],
)
def test_only_another_version_is_another_word(answers, obeyed):
    """K2: whoever cannot say that AppConfig has moved on, is taken for stale."""
    script = list(answers)

    def respond(_request: object) -> HttpReply:
        revision, version = script.pop(0)
        headers = {} if version is None else {"Configuration-Version": version}
        return HttpReply(200, encode_document(document(revision)), headers)

    seen = []
    with LoopbackServer(respond) as server:
        cache = cached_document(
            AgentDocuments("a", "e", "c", host="127.0.0.1", port=urlsplit(server.url).port)
        )
        for step in range(len(answers)):
            cache.refresh(1_000.0 * (step + 1), 1_000.0 * (step + 1), 0.0)
            seen.append(cache.value.revision)
    assert seen == obeyed


# --- other sources, and who obeys ---------------------------------------------------------


def test_a_file_says_what_somebody_has_put_there(tmp_path):
    """A mounted file that is rolled back has no replicas."""
    path = tmp_path / "document.json"
    cache = cached_document(FileDocuments(str(path)))
    for step, revision in enumerate((3, 2), 1):
        path.write_bytes(encode_document(document(revision)))
        cache.refresh(100.0 * step, 100.0 * step, 0.0)
        assert cache.value.revision == revision


class Telling(ScriptedReads):
    """A source that knows which of its answers stands in place of the one before."""

    replaced = True


def test_the_guard_obeys_a_roll_back_and_hooks_hear_of_it():
    """Parameters of every target, at the next call after the read."""
    events: list[Any] = []
    source = Telling(document(3), document(2), document(4))
    world = Runtime(documents=source, hooks=events.append, write=lambda line: None)
    world.clock = clock = _Clock()
    handle = target("t", within=world)
    guarded = handle.guard(lambda: handle.target.max_attempts)
    assert [(guarded(), clock.advance(60.0))[0] for _ in range(3)] == [3, 2, 4]
    assert [event.revision for event in events if isinstance(event, ParamsApplied)] == [3, 2, 4]


def test_a_test_that_sets_parameters_is_not_disturbed_by_a_roll_back():
    """And finds it obeyed when it ends."""
    world = Runtime(documents=Telling(document(3), document(2)), write=lambda line: None)
    world.clock = clock = _Clock()
    handle = target("t", within=world)
    guarded = handle.guard(lambda: handle.target.max_attempts)
    assert guarded() == 3
    with with_params(handle, retry={"max_attempts": 1}):
        clock.advance(60.0)
        assert guarded() == 1
    assert guarded() == 2


@given(
    answers=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=20),
)
def test_a_client_goes_back_only_on_its_sources_word(answers):
    """K2 over arbitrary orders: down only where the source says so, else never."""
    source = ScriptedReads(*(document(revision) for revision, _ in answers))
    cache = cached_document(source)
    world = Runtime(write=lambda line: None)
    handle = target("t", within=world)
    obeyed = -1
    for step, (revision, replaced) in enumerate(answers):
        source.replaced = replaced
        cache.refresh(100.0 * step, 100.0 * step, 0.0)
        expected = revision if replaced or revision >= obeyed else obeyed
        assert cache.value.revision == expected
        value = cache.value
        handle.target.apply_params(value.targets["t"], value.revision, withdrawn=cache.withdrawn)
        assert (handle.target.revision, handle.target.max_attempts) == (expected, expected)
        obeyed = expected


class _Clock:
    """Moves when told."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def wall_s(self) -> float:
        return self.now_s

    monotonic_s = wall_s

    def draw(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    advance = sleep
