"""The laws of configuration: what may be deployed over what, by whom, and what people did is left alone.

Told of each deployment, rollback and edit, and of each write of the publisher's
record and of the pointer to the policy in force. Who acts is the judge's `actor`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flyball.contract import Document, TargetParams
from flyball.errors import ContractError
from flyball_controller.aws.publish_document import UNREADABLE
from flyball_controller.core.model import Mode
from flyball_controller.policy_set import PolicySet
from simulation.dynamo import Item
from simulation.speed import document_of
from simulation.speed import hash_of as content_hash

if TYPE_CHECKING:
    from simulation.laws import Judge

SKEW_S = 2.0
HOUR_S = 3_600.0
PER_H = 12
# A content is held for an hour from the begin of the round that saw its rollback, 15 min ago at most.
HOLD_S = 3_600.0 - 900.0
RECORD, POINTER = "#publisher", "#policy"


def readable(content: bytes) -> Document | None:
    """Return the document that clients make of it, None if there is none."""
    try:
        return document_of(content) if content else None
    except ContractError:
        return None


class ConfigBooks:
    """Books over documents and policies of one run."""

    def __init__(self, judge: Judge, bundled: PolicySet) -> None:
        self._judge = judge
        self.in_force = [bundled]  # what was applied, oldest first; the first is the controllers' own
        self.known = {bundled.hash: bundled}
        self.starts: list[float] = []  # of controllers
        self.withdrawn: dict[str, float] = {}  # content hash -> when it was rolled back
        self.edits: dict[str, TargetParams | None] = {}  # what people made of targets by hand
        self.record: dict[str, object] = {}  # the publisher's, as stored
        self.standing: Document | None = None  # newest that can be read

    # --- documents -----------------------------------------------------------------------------

    def see_deployment(self, what: str, content: bytes, before: bytes) -> None:
        """Judge a deployment's start; remember what was rolled back or edited."""
        if what == "by hand":
            self._see_edit(content)
            self.standing = readable(content) or self.standing
            return
        if what == "rolled back":
            self._see_rollback(content, readable(before))
            self.standing = readable(before) or self.standing
            return
        document, standing = document_of(content, strict=True), self.standing
        self.standing = document
        if self._judge.actor.person:
            self._see_person(document, before)
            return
        if what == "started unlocked":  # the very first one has no number to lock on: it comes when it comes
            self.edits = {}
        self._see_targets(document, standing)
        judge, now_s, identity = self._judge, self._judge.now_s, content_hash(document)
        self.starts = [at_s for at_s in self.starts if now_s - at_s < HOUR_S - SKEW_S] + [now_s]
        if len(self.starts) > PER_H:
            judge.accuse("A2", f"{len(self.starts)} deployments in an hour")
        at_s = self.withdrawn.get(identity)
        if at_s is not None and now_s - at_s < HOLD_S - SKEW_S:
            judge.accuse("A5", f"content rolled back {now_s - at_s} s ago was started again")
        if before and readable(before) is None:
            judge.reached["unreadable document replaced"] += 1

    def _see_targets(self, document: Document, standing: Document | None) -> None:
        """Judge what a controller deploys: nothing for targets that are not active, nothing edited (A7)."""
        judge = self._judge
        for name, params in document.targets.items():
            stood = standing.targets.get(name) if standing else None
            if judge.policy_of(name).mode != Mode.ACTIVE and params != stood:
                judge.accuse("O3", f"configuration of {name} published in {judge.policy_of(name).mode.name}")
        for name, theirs in self.edits.items():
            if document.targets.get(name) != theirs:
                judge.accuse("A7", f"what was edited by hand for {name} was written over")
        if self.edits:
            judge.reached["edit left alone"] += 1

    def _see_person(self, document: Document, before: bytes) -> None:
        """Judge a person's deployment: over what was seen, or not at all (A8)."""
        stood, over = readable(before), self._judge.actor.over
        same = over.startswith(UNREADABLE) if stood is None else content_hash(stood) == over
        # With nothing to lock on, AppConfig starts the very first deployment whenever it arrives; and a
        # rollback leaves the deployments' number as it was, so that no start can be refused for it.
        if over and not same and over not in self.withdrawn:
            self._judge.accuse("A8", "a plan was deployed over another content than the one it was made for")
        self.withdrawn.pop(content_hash(document), None)
        names = self._left_alone()
        self.edits = {name: document.targets.get(name) for name in names}

    def _see_edit(self, content: bytes) -> None:
        """Somebody deployed by hand. It counts as an edit if controllers know what they published."""
        edited, published, left = readable(content), self._published(), self._left_alone()
        if edited is None:  # what nobody noticed before that is lost with it
            self.edits = {name: theirs for name, theirs in self.edits.items() if name in left}
            return
        if published is None:
            return
        stood = self.standing.targets if self.standing else {}
        names = {*stood, *edited.targets}
        changed = {name for name in names if edited.targets.get(name) != stood.get(name)}
        theirs = {name: edited.targets.get(name) for name in sorted(changed | set(self.edits))}
        # Set back to what was published before anybody looked is no edit.
        self.edits = {
            name: params
            for name, params in theirs.items()
            if name in left or params != published.targets.get(name)
        }
        if self.edits:
            self._judge.reached["document edited by hand"] += 1

    def _left_alone(self) -> list[str]:
        """Return the targets that the controllers' record leaves to people."""
        names = self.record.get("edited", [])
        assert isinstance(names, list)
        return names

    def _published(self) -> Document | None:
        """Return the document that the controllers' record says they published; None if it does not know."""
        if not self.record.get("published"):
            return None
        version = self.record.get("published_version")
        assert self._judge.content_of is not None
        return readable(self._judge.content_of(version))

    def _see_rollback(self, content: bytes, standing: Document | None) -> None:
        document = readable(content)
        if document is not None:
            self.withdrawn[content_hash(document)] = self._judge.now_s
        stand = standing.targets if standing else {}
        self.edits = {name: theirs for name, theirs in self.edits.items() if stand.get(name) == theirs}

    def see_record(self, item: Item) -> None:
        """The publisher's record was written; a person's may take edits over."""
        self.record = json.loads(item["b"]["B"])
        names = self._left_alone()
        if self._judge.actor.person:
            noted = self.record.get("intent")
            intent = noted[0] if isinstance(noted, list) else None
            if intent is not None:
                self.withdrawn.pop(intent, None)  # somebody asks for it: from then on it is not held
            taken = [name for name in self.edits if name not in names]
            # A start that went through is noted as meant until somebody looks; what it took over is taken.
            stands = self.standing is not None and intent == content_hash(self.standing)
            if taken and (intent is None or stands):
                self.edits = {name: theirs for name, theirs in self.edits.items() if name in names}
                self._judge.reached["edit taken over"] += 1

    def forget(self) -> None:
        """The release before writes the record: it keeps no word of edits, nor of what it published."""
        if self.edits:
            self._judge.reached["older release forgot an edit"] += 1
        self.edits = {}

    # --- policies ------------------------------------------------------------------------------

    def see_pointer(self, item: Item) -> None:
        """Another policy was put in force."""
        applied = json.loads(item["b"]["B"])["hash"]
        self.in_force.append(self.known[applied] if applied else self.in_force[0])

    def longest_s(self, target: str) -> float:
        """Return the longest validity of the policies in force so far: states keep theirs until renewed."""
        return max(policies.for_target(target).valid_for_s for policies in self.in_force)

    def see_obeyed(self, obeyed: str, *, before: int, unreadable: bool, had: str) -> None:
        """Judge which policy a round obeys: one in force since it began, or, if blind, its last (A9)."""
        allowed = {policies.hash for policies in self.in_force[before - 1 :]}
        if unreadable:
            allowed = {had}
            self._judge.reached["policy unreadable"] += 1
        if obeyed not in allowed:
            self._judge.accuse("A9", f"a round obeys policy {obeyed}, not {' or '.join(sorted(allowed))}")
