"""Static stability, part two: DynamoDB, AppConfig and its Agent, each killed, slowed and corrupted.

Each test is a row of docs/reference/static-stability.md and carries its name.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from chaos.stage import OUTAGE, TARGET, Stage
from flyball.agent import AgentDocuments
from flyball.circuit_item import decode_circuit
from flyball.contract import Circuit, CircuitState, encode_circuit, encode_document
from flyball.sources import DocumentSource
from flyball_controller.core.model import Reason, Regime
from flyball_local.appconfig.weather import FaultKind
from flyball_local.chaos.experiments import GARBAGE
from flyball_local.chaos.faults import StoreFails
from flyball_local.chaos.fleet import OwnClock, Strike
from flyball_local.loopback import HttpReply, HttpRequest, LoopbackServer

READ_S = 7.0  # a cache age with its jitter, and the call that looks
POLL_S = 75.0  # the same for the document
MANY = 2_000


# --- DynamoDB -----------------------------------------------------------------------------


def test_dynamodb_killed_the_last_word_holds_until_its_end(stage):
    """Clients keep what they know until it lapses; the controller repeats what it could not write."""
    stage.order("open", for_s=3_600)
    stage.pass_s(READ_S)
    until_s, errors = stage.until_s(), stage.said("backend_errors")
    fault = StoreFails("error")
    fault.begin(stage)
    assert stage.answered(until_s - stage.clock.now_s() - 1.0) == 0.0
    stage.pass_s(READ_S)
    reads = stage.first.tables.reads
    assert stage.unhurt(stage.pass_s(180.0))
    assert stage.first.tables.reads - reads <= 6  # the pause has grown to a minute
    assert stage.said("backend_errors") > errors
    fault.end(stage)
    errors = stage.said("backend_errors")
    stage.pass_s(120.0)
    assert stage.said("backend_errors") == errors
    assert stage.until_s() > stage.clock.now_s()  # the hold was repeated
    assert stage.answered(10.0) == 0.0


def test_dynamodb_slow_a_call_waits_once_and_a_round_gives_up(stage):
    """Nobody waits for a store that does not answer: 0.3 s in a call now and then, a round not at all."""
    errors = stage.said("backend_errors")
    fault = StoreFails("slow")
    fault.begin(stage)
    early, late = stage.pass_s(180.0), stage.pass_s(120.0)
    assert stage.unhurt(early + late)
    assert max(call.took_s for call in early + late) < 0.4
    waited = [call for call in late if call.took_s > 0.1]
    assert 0 < len(waited) < 0.1 * len(late)  # the pauses have grown
    assert stage.said("backend_errors") > errors
    fault.end(stage)
    errors = stage.said("backend_errors")
    stage.pass_s(120.0)
    assert stage.said("backend_errors") == errors


def test_dynamodb_corrupt_damaged_items_begin_anew_and_never_open(stage):
    """Bit rot, a restore of the wrong backup, another schema: safe defaults, and a line in the journal."""
    key = {"key": TARGET}
    state = stage.item("state", **key)
    assert state is not None
    stage.put("state", **{**state, "b": {"B": b"\x00" + state["b"]["B"][1:]}})
    now_s = stage.clock.now_s()
    whole = Circuit(
        TARGET, "*", CircuitState.OPEN, now_s, 9, 0.1, 7, "w", now_s - 60.0, now_s + 600.0, "DEAD"
    )
    stage.put("circuits", **{**encode_circuit(whole), "state": {"S": "opne"}})
    stage.forget()
    assert stage.unhurt(stage.pass_s(120.0))
    assert stage.states() == {CircuitState.CLOSED}
    events = [record.get("event") for record in stage.journal()]
    assert events.count(Reason.CHECKPOINT_RESET.name) == 1
    stage.stored()  # decodes again
    assert stage.applied.circuit == CircuitState.CLOSED


# --- AppConfig ----------------------------------------------------------------------------


def all_of(stage: Stage, kind: FaultKind, *operations: str) -> None:
    """Let the next calls of these operations fail."""
    for operation in operations:
        stage.cloud.aws.appconfig.faults.fail_next(operation, kind, count=MANY)


CONTROL = (
    "CreateHostedConfigurationVersion",
    "StartDeployment",
    "ListDeployments",
    "GetHostedConfigurationVersion",
)
DATA = ("StartConfigurationSession", "GetLatestConfiguration")


def test_appconfig_killed_parameters_stay_and_the_fast_path_goes_on(stage):
    """The retry level is in the circuit item too; the document follows when AppConfig is back."""
    assert stage.deployments == 1
    all_of(stage, FaultKind.SERVER_ERROR, *CONTROL, *DATA)
    stage.strike(OUTAGE, Strike(throttle=0, ratio=0.7))
    calls = stage.pass_s(300.0)
    assert not [call for call in calls if call.defect]
    assert max(stage.revisions()) == 1
    assert stage.deployments == 1
    item = decode_circuit(stage.published())
    assert item.budget_ratio == stage.applied.budget_ratio < 0.2  # decided, and told by the circuit item
    assert stage.first.runtime.targets[TARGET]._breaker.override_ratio == item.budget_ratio  # and obeyed
    assert stage.said("backend_errors") > 0
    stage.cloud.aws.appconfig.faults.clear()
    stage.pass_s(60.0 + 2 * POLL_S)
    assert stage.deployments == 2
    assert max(stage.revisions()) == 2


def test_appconfig_slow_a_lost_reply_is_recognised_and_never_deployed_twice(stage):
    """A time-out says nothing of what happened; a second deployment would roll back the first one's bake."""
    stage.cloud.aws.appconfig.faults.fail_next("StartDeployment", FaultKind.TIMEOUT_AFTER_EFFECT)
    all_of(stage, FaultKind.TIMEOUT_BEFORE_EFFECT, *DATA)
    stage.fail(ratio=0.3)
    calls = stage.pass_s(240.0)
    assert not [call for call in calls if call.defect]
    stage.cloud.note_deployments()
    contents = [content for _, content in stage.cloud.deployments]
    assert len(contents) == len(set(contents)) >= 1
    stage.cloud.aws.appconfig.faults.clear()
    stage.pass_s(2 * POLL_S)
    assert max(stage.revisions()) > 0


def by_hand(stage: Stage, content: bytes) -> None:
    """Deploy a content past the validators, as somebody with the console and too many rights would."""
    client = stage.cloud.aws.client("appconfig")
    ids = stage.cloud.resources.config
    version = client.create_hosted_configuration_version(
        ApplicationId=ids.application_id,
        ConfigurationProfileId=ids.profile_id,
        Content=content,
        ContentType="application/json",
    )["VersionNumber"]
    client.start_deployment(
        ApplicationId=ids.application_id,
        EnvironmentId=ids.environment_id,
        ConfigurationProfileId=ids.profile_id,
        DeploymentStrategyId=ids.strategy_id,
        ConfigurationVersion=str(version),
    )


def test_appconfig_corrupt_nobody_obeys_it_and_the_controller_writes_over_it(stage):
    """A document that nobody can read is no edit that anybody meant; the last good one holds meanwhile."""
    stage.pass_s(2 * POLL_S)
    assert stage.revisions() == {1}
    stage.reach_controller(False)
    by_hand(stage, GARBAGE)
    known = stage.first.runtime.targets[TARGET].params
    assert stage.unhurt(stage.pass_s(300.0))
    assert stage.first.runtime._document.bad == 1  # received once, not once a minute
    assert stage.first.runtime.targets[TARGET].params == known
    assert stage.revisions() == {1}
    stage.reach_controller(True)
    stage.pass_s(60.0 + 2 * POLL_S)
    assert stage.deployments == 3  # the first, the garbage, and the one over it
    assert stage.first.runtime.targets[TARGET].revision > 1
    assert stage.first.runtime.targets[TARGET].params == known


# --- the AppConfig Agent ------------------------------------------------------------------


class WithAgent(Stage):
    """A stage whose environments ask an Agent on this port; `patience_s` is in real seconds."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.patience_s = 5.0  # of a busy machine; no row but one waits for it

    def documents(self, clock: OwnClock) -> DocumentSource:
        """Return the Agent's source, as a function with the extension has it."""
        return AgentDocuments("a", "e", "c", host="127.0.0.1", port=self._port, timeout_s=self.patience_s)

    def be_patient_for(self, seconds: float) -> None:
        """Set the client's time-out, of those that run and of those to come."""
        self.patience_s = seconds
        for one in self.environments:
            one.documents._timeout_s = seconds


def document(revision: int) -> bytes:
    """A document that says four attempts with another base."""
    from flyball.contract import Document, RetryParams, TargetParams

    params = TargetParams(retry=RetryParams(base_ms=200))
    return encode_document(Document(revision, "2026-01-05T00:00:00Z", "hash", {TARGET: params}))


class Agent:
    """What answers on the Agent's port: a good document first, then whatever a test says."""

    def __init__(self) -> None:
        self.answer: Callable[[], HttpReply | None] = lambda: HttpReply(200, document(5))
        self.asked = 0

    def respond(self, request: HttpRequest) -> HttpReply | None:
        """Answer one request."""
        self.asked += 1
        return self.answer()


@pytest.fixture
def agent():
    """Yield an Agent, and a stage whose environments have read its document."""
    agent = Agent()
    with LoopbackServer(agent.respond) as server, WithAgent(int(server.url.rpartition(":")[2])) as stage:
        stage.pass_s(120.0)
        assert stage.revisions() == {5}
        yield agent, stage


def holds_on(stage: Stage) -> list[Any]:
    """The document of before is obeyed through five minutes, and no call is hurt; returns the calls."""
    calls = stage.pass_s(300.0)
    assert stage.unhurt(calls)
    assert stage.revisions() == {5}
    assert stage.first.runtime.targets[TARGET].params.retry.base_ms == 200
    assert stage.said("backend_errors") == 0  # the controller knows nothing of Agents
    return calls


def test_agent_killed_the_last_document_holds_and_others_learn_on(agent):
    """The extension crashed: its environment keeps what it read, and asks ever less often."""
    answering, stage = agent
    answering.answer = lambda: None  # the connection is cut
    asked = answering.asked
    holds_on(stage)
    environments = len(stage.environments)
    assert asked < answering.asked <= asked + 12 * environments
    stage.fail(ratio=0.3)
    stage.pass_s(240.0)
    assert stage.deployments >= 1  # for whoever has an Agent


def test_agent_slow_a_call_waits_once_for_its_time_out(agent):
    """It hangs: one wait of the client's own time-out per pause, real seconds, none of them the target's."""
    answering, stage = agent
    never = Event()

    def hang() -> HttpReply | None:
        never.wait(0.2)
        return None

    answering.answer = hang
    stage.be_patient_for(0.02)
    asked = answering.asked
    stage.pass_s(60.0)
    assert stage.revisions() == {5}
    assert answering.asked > asked
    assert 1 <= stage.first.runtime._document.failed <= 6  # 1, 2, 4, 8, 16, 32 s apart
    answering.answer = lambda: HttpReply(200, document(6))
    stage.be_patient_for(5.0)
    stage.pass_s(120.0)
    assert 6 in stage.revisions()
    assert stage.said("backend_errors") == 0


@pytest.mark.parametrize(
    "reply",
    [HttpReply(200, GARBAGE), HttpReply(500, b"no"), HttpReply(200, b"{}" * 60_000), HttpReply(200, b"")],
)
def test_agent_corrupt_what_it_says_is_refused_and_asked_for_again(agent, reply):
    """Cut off, an error, larger than any document, empty: the one of before holds."""
    answering, stage = agent
    answering.answer = lambda: reply
    asked = answering.asked
    holds_on(stage)
    assert answering.asked > asked
    answering.answer = lambda: HttpReply(200, document(6))
    stage.pass_s(120.0)
    assert 6 in stage.revisions()


def test_the_stage_is_told_apart_from_a_controller_that_is_ill(stage):
    """The counter that rows look at does count: a store that fails shows in it."""
    fault = StoreFails("error")
    fault.begin(stage)
    stage.pass_s(120.0)
    fault.end(stage)
    assert stage.said("backend_errors") > 0
    assert stage.cloud.runtime.cache[TARGET].state.law.regime == Regime.NOMINAL
