"""The way from a decision to a client's behaviour, with all its delays: circuit items and the document.

    decision -> circuit item -> each environment asks again after ~5 s
             -> publish plan -> deployment ~10 s -> each environment's agent polls every 45 s

Whether a document may be deployed is decided by the production plan
(flyball_controller.aws.publish_plan): one deployment in flight, a gap, a cap per
hour, slots kept for urgent wishes. An environment reads only when it makes a
call, and a poll that became due while it was idle serves the old document once
more, as the agent of a thawed environment does.

Nothing here decides what is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from flyball.contract import Circuit, Document, TargetParams
from flyball.sources import AGE_JITTER, CIRCUIT_AGE_S, DOCUMENT_AGE_S
from flyball_analytics.plant import Environment
from flyball_controller.aws.publish_plan import Facts, Limits, Record, plan
from flyball_controller.codec import canonical_json, short_hash
from flyball_controller.ports import PublishReport, PublishStatus

DEPLOYMENT_S = 10.0  # own strategy: 0 min growth, 0 min bake, 100 %
POLL_S = 45.0  # the AppConfig Agent's default
CIRCUIT, DOCUMENT = "circuit", "document"  # what an environment obeyed
WRITE_S = 2.0  # decision and write of a circuit item


class Deployment(NamedTuple):
    """One document on its way; no environment can read it before `visible_s`."""

    started_s: float
    visible_s: float
    document: Document


class SimCircuits:
    """Circuit items with their write delay; versions only rise. A `Circuits` port."""

    def __init__(self) -> None:
        self.writes = 0
        self._items: dict[str, list[tuple[float, Circuit]]] = {}  # per target, oldest first
        self.now_s = 0.0

    def publish(self, circuit: Circuit) -> bool:
        """Write if the version is higher than what stands there; readable WRITE_S later."""
        written = self._items.setdefault(circuit.target, [])
        if written and written[-1][1].version >= circuit.version:
            return written[-1][1].version == circuit.version
        written.append((self.now_s + WRITE_S, circuit))
        del written[:-3]
        self.writes += 1
        return True

    def read(self, target: str, function: str = "*") -> Circuit | None:
        """Return the newest item, readable or not: the controller's own view."""
        written = self._items.get(target)
        return written[-1][1] if written else None

    def readable(self, target: str, at_s: float) -> Circuit | None:
        """Return the newest item that an environment can read at `at_s`."""
        for visible_s, circuit in reversed(self._items.get(target, ())):
            if visible_s <= at_s:
                return circuit
        return None


class SimPublisher:
    """Deployments of the document under the production plan's limits. A `ConfigPublisher` port."""

    def __init__(self, standing: Mapping[str, TargetParams], *, policy_hash: str, limits: Limits) -> None:
        """`standing`: what was deployed long ago, the nominal parameters of every target."""
        document = Document(1, "", policy_hash, dict(standing))
        self.deployments = [Deployment(float("-inf"), float("-inf"), document)]
        self._limits = limits
        self._record = Record(revision=1)
        self._content = _content(document.targets)

    @property
    def started(self) -> list[Deployment]:
        """Deployments of this run, without what stood before."""
        return self.deployments[1:]

    def current(self) -> Document | None:
        """Return the newest document, in flight or not."""
        return self.deployments[-1].document

    def publish(
        self, params: Mapping[str, TargetParams], *, urgent: bool, policy_hash: str, now_s: float
    ) -> PublishReport:
        """Merge the wishes; start a deployment if the plan says so."""
        newest = self.deployments[-1]
        merged = {**newest.document.targets, **params}
        content = _content(merged)
        number = len(self.deployments)
        planned = plan(
            self._record,
            Facts(self._content, newest.visible_s > now_s, number),
            content=content,
            urgent=urgent,
            now_s=now_s,
            limits=self._limits,
        )
        self._record = planned.record
        if planned.code != "start":
            return PublishReport(PublishStatus(planned.code, planned.pending), number, planned.detail)
        self._record = self._record._replace(intent=None)
        self._content = content
        document = Document(newest.document.revision + 1, f"{now_s:g}", policy_hash, merged)
        self.deployments.append(Deployment(now_s, now_s + DEPLOYMENT_S, document))
        return PublishReport(PublishStatus("deployed", False), document.revision, "started")

    def readable(self, at_s: float) -> Document:
        """Return the newest document that is deployed at `at_s`."""
        for deployment in reversed(self.deployments):
            if deployment.visible_s <= at_s:
                return deployment.document
        return self.deployments[0].document


def _content(targets: Mapping[str, TargetParams]) -> str:
    return short_hash(canonical_json(dict(targets)))


class _Memory:
    """What one environment remembers of its reads."""

    __slots__ = ("circuit_at_s", "document_at_s", "fetched", "poll_at_s", "version")

    def __init__(self, at_s: float, draw: float, document: Document) -> None:
        self.circuit_at_s = at_s
        self.document_at_s = at_s
        self.poll_at_s = at_s + POLL_S * draw
        self.fetched = document  # by the agent; what a client sees when it asks
        self.version = -1


class Delivery:
    """The read side of one target, for all environments of its callers."""

    def __init__(self, target: str, *, circuits: SimCircuits, publisher: SimPublisher, seed: int) -> None:
        self._target = target
        self._circuits = circuits
        self._publisher = publisher
        self._rng = Random(f"{seed}/{target}/reads")
        # When the first environment obeyed a circuit version or a document revision.
        self.obeyed_s: dict[tuple[str, int], float] = {}

    @property
    def refresh(self) -> Callable[[Environment, float], None]:
        """The plant's hook, called when an environment begins a call and its `check_at_s` has come."""
        return self._refresh

    def _refresh(self, environment: Environment, at_s: float) -> None:
        memory = environment.memory
        if not isinstance(memory, _Memory):
            # A new environment's agent fetches at its start.
            memory = environment.memory = _Memory(at_s, self._rng.random(), self._publisher.readable(at_s))
        if at_s >= memory.circuit_at_s:
            memory.circuit_at_s = at_s + CIRCUIT_AGE_S * (1.0 + AGE_JITTER * self._rng.random())
            self._read_circuit(environment, memory, at_s)
        if at_s >= memory.document_at_s:
            memory.document_at_s = at_s + DOCUMENT_AGE_S * (1.0 + AGE_JITTER * self._rng.random())
            self._read_document(environment, memory.fetched, at_s)
        if at_s >= memory.poll_at_s:
            # The poll runs beside the call: the client sees its result when it next asks.
            memory.poll_at_s = at_s + POLL_S
            memory.fetched = self._publisher.readable(at_s)
        environment.check_at_s = min(memory.circuit_at_s, memory.document_at_s)

    def _read_circuit(self, environment: Environment, memory: _Memory, at_s: float) -> None:
        circuit = self._circuits.readable(self._target, at_s)
        if circuit is None or circuit.version == memory.version:
            return
        memory.version = circuit.version
        if environment.target.apply_circuit(circuit):
            self.obeyed_s.setdefault((CIRCUIT, circuit.version), at_s)

    def _read_document(self, environment: Environment, document: Document, at_s: float) -> None:
        params = document.targets.get(self._target, document.defaults)
        if environment.target.apply_params(params, document.revision):
            self.obeyed_s.setdefault((DOCUMENT, document.revision), at_s)
