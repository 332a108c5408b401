"""What one execution environment reads of the controller's work, through the client's own decoders.

An environment asks for its circuit items every five seconds and for the document
every ten, as `flyball.sources` does, but only when it makes a call; the AppConfig
Agent beside it polls every 45 s. A read that cannot return anything new, because
nothing was written since, is skipped: that is what the emulators' revision
counters are for. Nothing else is shared between environments.

Reads happen at the clock's time, which the plant may be ahead of by one chunk
(loop.CHUNK_S): an environment learns of a change at most that much late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from flyball.aws import DynamoCircuits
from flyball.contract import Circuit, Document, decode_document
from flyball.errors import ContractError, SourceError
from flyball.sources import AGE_JITTER, CIRCUIT_AGE_S, DOCUMENT_AGE_S
from flyball_analytics.plant import Environment
from flyball_controller.aws.settings import AppConfigIds
from flyball_local.appconfig.agent import Agent
from flyball_local.appconfig.service import AppConfigService
from flyball_local.dynamodb import DynamoDBService

CIRCUITS_TABLE = "flyball-circuits"


class _Memory:
    """What one environment keeps between calls."""

    __slots__ = ("agent", "circuit_at_s", "circuits", "content", "document_at_s")

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.circuit_at_s = 0.0
        self.document_at_s = 0.0
        self.circuits: Sequence[Circuit] = ()
        self.content: bytes | None = None


class Published:
    """The read side of one target, for all its environments."""

    def __init__(
        self,
        target: str,
        *,
        dynamodb: DynamoDBService,
        circuits: DynamoCircuits,
        appconfig: AppConfigService,
        ids: AppConfigIds,
        seed: int,
    ) -> None:
        self._target = target
        self._dynamodb = dynamodb
        self._source = circuits
        self._appconfig = appconfig
        self._ids = ids
        self._rng = Random(f"{seed}/{target}/reads")
        self._circuits_revision = -1
        self._circuits: Sequence[Circuit] = ()
        self._decoded: dict[bytes, Document | None] = {}
        self.failed_reads = 0

    @property
    def refresh(self) -> Callable[[Environment, float], None]:
        """The plant's hook: called when an environment begins a call and its `check_at_s` has come."""
        return self._refresh

    def _refresh(self, environment: Environment, at_s: float) -> None:
        memory = environment.memory
        if not isinstance(memory, _Memory):
            agent = self._appconfig.agent(
                self._ids.application_id, self._ids.environment_id, self._ids.profile_id, thaw_stale=True
            )
            memory = environment.memory = _Memory(agent)
        if at_s >= memory.circuit_at_s:
            memory.circuit_at_s = at_s + CIRCUIT_AGE_S * (1.0 + AGE_JITTER * self._rng.random())
            self._read_circuits(environment, memory)
        if at_s >= memory.document_at_s:
            memory.document_at_s = at_s + DOCUMENT_AGE_S * (1.0 + AGE_JITTER * self._rng.random())
            self._read_document(environment, memory)
        environment.check_at_s = min(memory.circuit_at_s, memory.document_at_s)

    def _read_circuits(self, environment: Environment, memory: _Memory) -> None:
        revision = self._dynamodb.revision(CIRCUITS_TABLE)
        if revision != self._circuits_revision:
            try:
                self._circuits = self._source.read((self._target,), "")
            except (SourceError, ContractError):
                self.failed_reads += 1  # last known until it expires (K3)
                return
            self._circuits_revision = revision
        if self._circuits is not memory.circuits:
            memory.circuits = self._circuits
            for circuit in self._circuits:
                environment.target.apply_circuit(circuit)

    def _read_document(self, environment: Environment, memory: _Memory) -> None:
        content = memory.content if memory.agent.fresh else memory.agent.get()
        if content is None or content is memory.content:
            return
        memory.content = content
        if content not in self._decoded:
            try:
                self._decoded[content] = decode_document(content)
            except ContractError:
                self.failed_reads += 1
                self._decoded[content] = None
        document = self._decoded[content]
        if document is not None:
            params = document.targets.get(self._target, document.defaults)
            environment.target.apply_params(params, document.revision)
