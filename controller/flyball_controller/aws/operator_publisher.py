"""Publishes a document that a person asked for: exactly that one, and only over what the person saw.

The controller offers wishes and merges; a person applies a plan or goes back. So
here the whole document is given, with the content it is meant to replace: if
anything else stands by now (another plan, the controller's own tuning, an edit
in the console), nothing is written. The change-rate limits of the automation do
not bind a person, AppConfig's one deployment at a time does.

Both use one record, so a controller takes what was applied for its own work, not
for somebody's edit, and the revision only rises.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball.contract import ContractError, Document
from flyball_controller.aws.appconfig import RECORD_KEY, RECORD_TRIES, AppConfigPublisher
from flyball_controller.aws.appconfig_api import STANDING
from flyball_controller.aws.publish_document import exact_wish
from flyball_controller.aws.publish_plan import Limits, absorb_rollbacks, decode_record, plan
from flyball_controller.ports import PublishReport, PublishStatus

# One a minute for an hour, no gap and no reserve: AppConfig itself is slower than a person.
BY_HAND = Limits(per_h=60, reserve=0, gap_s=0.0, hold_s=0.0)


class Live(NamedTuple):
    """What stands in AppConfig now."""

    document: Document | None  # None: nothing that can be read
    content: str  # its identity, as the plan names it
    in_flight: bool
    edited: tuple[str, ...]  # targets that people changed in the document


class OperatorPublisher(AppConfigPublisher):
    """The publisher for people: what stands, what stood before, and deploying one exact document."""

    def live(self, *, now_s: float) -> Live:
        """Return what stands; nothing is written, edits are found all the same.

        Raises:
            PortError: AppConfig or the record's store fails.
        """
        stored = self._checkpoints.load([RECORD_KEY])[RECORD_KEY]
        record = decode_record(stored.data, now_s=now_s, limits=self._limits)
        seen = self._look(record)
        record, _ = self._notice(record, seen)
        return Live(seen.document, seen.facts.standing, seen.facts.in_flight, record.edited)

    def before(self, content: str, *, not_under: str = "") -> Document | None:
        """Return the newest document of ours that was deployed before the one of this content, and differs.

        None if there is none any more: only the newest twenty versions are kept.
        `not_under` asks for one that was made under another policy than that of this hash.

        Raises:
            PortError: AppConfig fails.
        """
        ours = [d for d in self._api.deployments() if d.ours and d.state in STANDING]
        passed = False
        for reading in [self._readings.at(deployment.version) for deployment in ours]:
            if reading.document is None:
                continue
            other = reading.content != content and reading.document.policy_hash != not_under
            if passed and other:
                return reading.document
            passed = passed or reading.content == content
        return None

    def deploy(
        self, document: Document, *, over: str, edited: tuple[str, ...], now_s: float
    ) -> PublishReport:
        """Deploy the document under the next revision if the content `over` still stands.

        Args:
            document: Targets, defaults and policy hash; its revision and time are set here.
            over: Identity of the content that the person saw; "" = nothing stood.
            edited: Targets that stay the person's: the controller keeps off until they are taken over.
            now_s: Epoch seconds.

        Returns:
            "deployed", "unchanged" (that content stands already), "stale" (another one does),
            "in_flight", or "failed" with the reason.

        Raises:
            PortError: AppConfig or the record's store fails.
        """
        for _ in range(RECORD_TRIES):
            stored = self._checkpoints.load([RECORD_KEY])[RECORD_KEY]
            before = decode_record(stored.data, now_s=now_s, limits=self._limits)
            seen = self._look(before)
            revision = max(before.revision, seen.document.revision if seen.document else 0)
            if seen.facts.standing != over:
                words = "nothing" if not seen.facts.standing else f"revision {revision} or another content"
                return _report("stale", revision, f"{words} stands by now; nothing was changed")
            try:
                wish = exact_wish(document._replace(revision=revision + 1), now_s=now_s)
            except ContractError as error:
                return _report("failed", revision, f"refused before anything was written: {error}")
            known, _ = self._notice(before, seen)
            # A rollback that nobody saw yet is held against controllers for the whole time (A5).
            known = absorb_rollbacks(known, seen.facts, until_s=now_s + self._limits.hold_s)
            holds = tuple(hold for hold in known.holds if hold.content != wish.content)
            # What is left to people is written before, what is taken over after: a crash between the
            # two leaves too much alone, never too little.
            record = known._replace(edited=tuple(sorted({*known.edited, *edited})), holds=holds)
            planned = plan(record, seen.facts, content=wish.content, urgent=True, now_s=now_s, limits=BY_HAND)
            if planned.code == "start":
                planned = planned._replace(record=planned.record._replace(revision=wish.document.revision))
            elif planned.code != "unchanged":
                return _report(planned.code, revision, planned.detail)
            version = self._save(stored.version, stored.data, planned.record, now_s=now_s)
            if version is None:
                continue
            report = _report("unchanged", revision, planned.detail)
            if planned.code == "start":
                report = self._deploy(wish, seen, record, planned, version, now_s=now_s)
            if report.status.code in ("deployed", "unchanged"):
                self._leave_alone(edited, now_s=now_s)
            return report
        return _report("in_flight", revision, "controllers keep writing the publisher's record; try again")

    def _leave_alone(self, edited: tuple[str, ...], *, now_s: float) -> None:
        """Let these targets, and no others, be left to people."""
        for _ in range(RECORD_TRIES):
            stored = self._checkpoints.load([RECORD_KEY])[RECORD_KEY]
            record = decode_record(stored.data, now_s=now_s, limits=self._limits)
            if record.edited == edited:
                return
            if self._save(stored.version, stored.data, record._replace(edited=edited), now_s=now_s):
                return


def _report(code: str, revision: int, detail: str) -> PublishReport:
    return PublishReport(PublishStatus(code, False), revision, detail)
