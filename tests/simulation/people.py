"""People: they apply policies, go back, edit the document by hand, override targets, and check them.

Applying and going back are the commands' own functions on the product's own
stores; each is a job that is stopped before every call, like a round. What takes
one call (a hold, the kill switch, an edit in the console, a check's result) is
one step.
"""

from __future__ import annotations

import json
from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any

from flyball.circuit_item import encode_circuit
from flyball.contract import FLEET, Circuit, CircuitState, encode_document
from flyball_analytics.cli.apply import apply_plan
from flyball_analytics.cli.errors import FlyballError
from flyball_analytics.cli.plan import plan_for
from flyball_analytics.cli.rollback import go_back, way_back
from flyball_analytics.installation import Installation
from flyball_controller.aws.dynamodb import DynamoCheckpoints, DynamoHolds
from flyball_controller.aws.journal import DynamoJournal
from flyball_controller.aws.operator_publisher import OperatorPublisher
from flyball_controller.aws.settings import Settings
from flyball_controller.aws.tables import expires
from flyball_controller.check_book import KEPT, Result, encode_results, key_of, write_results
from flyball_controller.codec import with_digest
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.model import Hold, HoldKind, Mode
from flyball_controller.core.policy import Policy, Promise
from flyball_controller.policy_set import PolicySet, load_preset
from flyball_controller.ports import PortError
from flyball_controller.probes import Check, Kind
from simulation.appconfig import IDS
from simulation.controllers import PAUSES, WatchedCheckpoints
from simulation.dynamo import ControllerClient
from simulation.laws import Actor, Judge
from simulation.process import Job, Process
from simulation.traffic import T0

if TYPE_CHECKING:
    from simulation.world import World

TARGETS = ("a", "b")
HOLDS = (HoldKind.FREEZE, HoldKind.FORCE_OPEN, HoldKind.FORCE_CLOSED, HoldKind.RELEASE)
SPANS_S = (5.0, 20.0, 60.0, 130.0, 30.0, 90.0, 10.0, 300.0)
CHECKS = {name: Check(name, Kind.TCP, every_s=60, host=name, port=443) for name in TARGETS}
WELL = ("healthy", "broken", "saturated", "throttled", "silent")  # states in which a health page answers

_QUICK = with_digest(Policy(promise=Promise.NONE, settle_s=45.0, hold_periods=1))
_SHADOW = with_digest(_QUICK._replace(mode=Mode.SHADOW))
_OFF = with_digest(_QUICK._replace(mode=Mode.OFF))
_CAREFUL = with_digest(_QUICK._replace(attempts_nominal=2, budget_nominal=0.1))
POLICIES = (
    PolicySet(_QUICK, {}, "quick", probes=CHECKS),
    load_preset("two-loop"),
    load_preset("ladder"),
    PolicySet(_QUICK, {"b": _SHADOW}, "quick, b in shadow"),
    PolicySet(_QUICK, {}, "quick, canary", {"a": ("f",)}),
)
APPLIED = (
    *POLICIES,
    PolicySet(_QUICK, {"a": _SHADOW}, "quick, a in shadow", probes=CHECKS),
    PolicySet(_QUICK, {"a": _OFF}, "quick, a off"),
    PolicySet(_CAREFUL, {}, "careful", probes=CHECKS),
)


class Person(Process):
    """Somebody at a terminal, with the operator's rights."""

    def __init__(self, policies: PolicySet, **world: Any) -> None:
        super().__init__(policies, person=True, **world)
        checkpoints = WatchedCheckpoints(
            DynamoCheckpoints(self.dynamodb, table="states", pauses=PAUSES), self.judge
        )
        self.checkpoints = checkpoints
        self.installation = Installation(Settings(targets=TARGETS), prefix="flyball", clients=None)  # type: ignore[arg-type]
        self._ids = 0
        # What the installation would make from boto3's clients when first asked.
        vars(self.installation).update(
            checkpoints=checkpoints,
            journal=DynamoJournal(self.dynamodb, table="journal", pauses=PAUSES),
            publisher=OperatorPublisher(
                self.appconfig, **IDS._asdict(), checkpoints=checkpoints, new_id=self._new_id
            ),
        )

    def _new_id(self) -> str:
        self._ids += 1
        return f"person-{self._ids}"

    def saw(self, content: str) -> None:
        """Tell the judge over which content is acted from now on."""
        self.actor = self.judge.actor = Actor(self.actor.policies, person=True, over=content)


class Deed(Job):
    """One command on its way: a policy applied, or the way back."""

    targets: tuple[str, ...] = ()

    def __init__(self, person: Person, policies: PolicySet | None, how: int) -> None:
        """Apply `policies`, or go back if there are none; `how` is odd: take over, or the policy too."""
        super().__init__(person, self._work)
        self.person = person
        self._policies = policies
        self._how = how
        self.came = ""

    def _work(self) -> None:
        try:
            with redirect_stderr(StringIO()):  # a journal that could not be written is told there
                self.came = self._apply(self._policies) if self._policies else self._go_back()
        except (FlyballError, PortError, PolicyError) as error:
            self.came = f"refused: {type(error).__name__}"
            if "stale" in str(error):
                self.came = "refused as stale"
            elif "changed by hand" in str(error):
                self.came = "refused for edits"

    def _apply(self, policies: PolicySet) -> str:
        place, now_s = self.person.installation, self.person.now_s()
        self.person.judge.configuration.known[policies.hash] = policies
        plan, _ = plan_for(place, policies, now_s=now_s)
        self.person.saw(plan.base.content)
        done = apply_plan(
            place, plan, take_over=self._how % 2 == 1, by="p", why="schedule", now_s=self.person.now_s()
        )
        return "policy applied" if done.policy_changed else "document applied"

    def _go_back(self) -> str:
        place = self.person.installation
        way = way_back(place, policy=self._how % 2 == 1, now_s=self.person.now_s())
        self.person.saw(way.content)
        go_back(place, way, by="p", why="schedule", now_s=self.person.now_s())
        return "went back with the policy" if way.with_policy else "went back"

    def outcome(self) -> str:
        """Return in one phrase how it ended."""
        return self.came or "crashed"

    def note(self, judge: Judge) -> None:
        """Count which rare ways it went."""
        judge.reached[f"person: {self.outcome()}"] += 1


class People:
    """What people do to a world, one method per kind of step."""

    def __init__(self, world: World) -> None:
        self._world = world
        told = {
            "tables": world.tables,
            "profile": world.profile,
            "judge": world.judge,
            "now_s": world.true_now_s,
            "slow": world.pass_time,
        }
        self.persons = [Person(world.bundled, **told) for _ in range(2)]
        client = ControllerClient(world.tables, lambda _: "")
        self._holds = DynamoHolds(client, table="holds", pauses=PAUSES)
        self._book = DynamoCheckpoints(client, table="states", pauses=PAUSES)

    # --- commands ---------------------------------------------------------------------------------

    def do_apply(self, which: int, how: int) -> None:
        """Somebody plans and applies a policy."""
        self._begin(APPLIED[(which + how) % len(APPLIED)], how)

    def do_undo(self, _: int, how: int) -> None:
        """Somebody goes back to what stood before."""
        self._begin(None, how)

    def _begin(self, policies: PolicySet | None, how: int) -> None:
        idle = [person for person in self.persons if person.round is None]
        if idle:
            self._world.rounds.append(Deed(idle[0], policies, how))

    def take_over(self) -> None:
        """Somebody takes over what was edited by hand, undisturbed: the policy in force is applied again."""
        person = self.persons[0]
        deed = Deed(person, self._world.judge.configuration.in_force[-1], 1)
        deed.go(10_000)
        person.round = None

    def do_edit(self, which: int, how: int) -> None:
        """Somebody edits the document at the console; now and then it is no document any more."""
        world, name = self._world, TARGETS[which % len(TARGETS)]
        document = world.profile.standing()
        if document is None:
            return
        if how == 7:
            world.profile.deploy_by_hand(b'{"schema": 1')
            return
        targets = dict(document.targets)
        if how == 6:
            targets.pop(name, None)
        else:
            params = document.targets.get(name, document.defaults)
            retry = params.retry._replace(max_attempts=1 + how % 3, budget_ratio=0.05 * (1 + how))
            targets[name] = params._replace(retry=retry)
        world.profile.deploy_by_hand(encode_document(document._replace(targets=targets)))

    # --- one call ---------------------------------------------------------------------------------

    def do_hold(self, kind: int, how: int) -> None:
        """An operator overrides a target, or lets go."""
        now_s = self._world.now_s
        hold = Hold(HOLDS[kind % 4], now_s + SPANS_S[4 + how % 4], "operator", "by schedule")
        self._holds.put(TARGETS[how % 2], hold, now_s=now_s)

    def do_kill(self, how: int, span: int) -> None:
        """The kill switch is thrown, or let go."""
        world = self._world
        state = CircuitState.FORCED_CLOSED if how % 4 else CircuitState.CLOSED
        until_s = world.now_s + SPANS_S[span % len(SPANS_S)]
        version = int(world.now_s - T0) + 1
        item = encode_circuit(
            Circuit(FLEET, FLEET, state, world.now_s, 0, 1.0, version, "", 0.0, until_s, "operator")
        )
        world.alien_put("circuits", {**item, "expires": expires(until_s)})

    # --- checks -----------------------------------------------------------------------------------

    def do_check(self, which: int, how: int) -> None:
        """The probe function writes what a check came to: true, late, wrong; or somebody forges it."""
        world, name = self._world, TARGETS[which % len(TARGETS)]
        good = world.traffic.health[name] in WELL
        at_s = world.now_s - 1.0
        if how == 4:
            at_s -= 240.0
            self._planted("check late")
        elif how == 5:
            good = not good
            self._planted("check wrong")
        elif how in (6, 7):
            self._forge(name, how)
            return
        world.judge.actor = Actor(world.bundled)
        result = Result(at_s, 20.0, good)
        write_results(self._book, {name: result}, slot_s=30.0, now_s=world.now_s)

    def _forge(self, name: str, how: int) -> None:
        """A whole row of good checks, up to ten minutes ahead; or bytes that are none."""
        world = self._world
        rows = [Result(world.now_s - 600.0 + 40.0 * index, 1.0, True) for index in range(KEPT)]
        stored = self._book.load([key_of(name)])[key_of(name)]
        data = encode_results(rows) if how == 6 else b"\x00fc" * 9
        world.judge.actor = Actor(world.bundled)
        self._book.save(
            key_of(name),
            data,
            expected_version=stored.version,
            write_id=json.dumps([name, world.now_s]),
            stamp_s=world.now_s,
            now_s=world.now_s,
        )
        self._planted("check forged")

    def _planted(self, fault: str) -> None:
        self._world.judge.reached[fault] += 1
        self._world.planted(fault)
