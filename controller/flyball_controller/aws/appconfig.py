"""Publishes the configuration document through AWS AppConfig, at most one deployment at a time.

Each run offers all wished parameters again. They are merged into the newest
document known, and the result is deployed if `publish_plan` says so; what cannot
be deployed now is simply offered again at the next tick. No wish is queued.

The protocol, so that any number of controllers may run and any of them may die
between two calls:
1. Load the record, then look at AppConfig: the facts are never older than it.
2. Plan. A start is noted in the record, by a conditional write, before it is
   made: a crash costs a slot of the hour, never an extra deployment.
3. Create the version under AppConfig's own lock (LatestVersionNumber), start it
   under the other (LatestDeploymentNumber). Whoever is second gets a conflict.
4. After a call without reply, look: the version's description carries the hash
   of its content, and a deployment names its version. Only what is seen counts.
5. Settle the record, then delete old versions.

It never publishes what a client would refuse or bend (A1), never a content that
was rolled back lately (A5), never over what a person changed (`drift`), and on any
failure the document that stands, stands.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from flyball.contract import DEFAULT_PARAMS, ContractError, Document, TargetParams
from flyball_controller.aws.appconfig_api import (
    CONFLICT,
    IN_FLIGHT,
    INVALID_CONFIGURATION,
    ROLLED_BACK,
    STANDING,
    AppConfigApi,
    Deployment,
    Version,
)
from flyball_controller.aws.clients import AppConfigClient
from flyball_controller.aws.errors import AwsError
from flyball_controller.aws.publish_document import (
    FIRST_CONTENT,
    FIRST_VERSION,
    UNREADABLE,
    Readings,
    Wish,
    Wishes,
    above,
    tightens,
    written,
)
from flyball_controller.aws.publish_plan import (
    Facts,
    Limits,
    Plan,
    Record,
    RolledBack,
    decode_record,
    doubting,
    encode_record,
    hold_content,
    plan,
    without_locked_doubts,
)
from flyball_controller.aws.settings import AppConfigIds
from flyball_controller.drift import DEFAULTS, edited_targets, is_edit, without_edited
from flyball_controller.ports import Checkpoints, Conflict, PortError, PublishReport, PublishStatus

if TYPE_CHECKING:
    from flyball_controller.ports import ConfigPublisher

RECORD_KEY = "#publisher"  # no target name begins with "#publisher": targets are keys beside it
RECORD_TRIES = 3  # lost conditional writes before the wish is left to the next tick
KEEP_VERSIONS = 20  # a night of changes to look back on; the store's quota is 1 GB
PRUNE_MAX = 10  # per publish: DeleteHostedConfigurationVersion allows 10 per second

NO_VERSION = Version(0, "")


class _Seen(NamedTuple):
    """What AppConfig shows: facts for the plan, and what the next document is made from."""

    facts: Facts
    deployments: list[Deployment]
    document: Document | None  # newest readable one that stands or is in flight
    version: int  # its hosted version, 0 = none
    number: int  # its deployment, 0 = none


class _Outcome(NamedTuple):
    """How an attempt to deploy ended, and what the record keeps of it."""

    code: str
    pending: bool
    detail: str
    slot_used: bool  # a deployment was started, or may have been
    refused: bool = False  # by a validator: this content must not come again soon


class AppConfigPublisher:
    """The publisher of one AppConfig profile in one environment.

    Args:
        client: An AppConfig client.
        application_id, environment_id, profile_id, strategy_id: From `appconfig_setup.ensure_config`
            or the settings; the strategy must be 0 minutes, 0 bake, 100 %.
        checkpoints: Where the record is kept, under the key "#publisher".
        limits: How often the document may change, and how long a rolled-back content is held.
        defaults: Parameters of targets that the document does not name.
        new_id: Makes the write ids of the record; unique.
    """

    def __init__(
        self,
        client: AppConfigClient,
        *,
        application_id: str,
        environment_id: str,
        profile_id: str,
        strategy_id: str,
        checkpoints: Checkpoints,
        limits: Limits = Limits(),  # noqa: B008  (immutable)
        defaults: TargetParams = DEFAULT_PARAMS,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._api = AppConfigApi(
            client, AppConfigIds(application_id, environment_id, profile_id, strategy_id)
        )
        self._checkpoints = checkpoints
        self._limits = limits
        self._defaults = defaults
        self._new_id = new_id
        self._readings = Readings(self._api.content)
        self._wishes = Wishes()

    def limit(self, limits: Limits) -> None:
        """Obey other limits from now on: a policy was applied."""
        self._limits = limits

    def current(self) -> Document | None:
        """Return the newest readable document that is deployed or in flight, None if there is none.

        Raises:
            PortError: If AppConfig fails.
        """
        return self._standing(self._api.deployments())[0]

    def publish(
        self, params: Mapping[str, TargetParams], *, urgent: bool, policy_hash: str, now_s: float
    ) -> PublishReport:
        """Merge the wished parameters into the document; deploy it if that changes it and may be done now.

        Args:
            params: Wished parameters per target; targets not named keep theirs.
            urgent: The wish tightens: it does not wait for the gap and may use the reserved slots. So
                does one that tightens what stands, whatever was said of it.
            policy_hash: Identity of the policies behind the wish; part of the content.
            now_s: Epoch seconds.

        Returns:
            The outcome; `pending` says that the wish must be offered again. "failed" leaves
            the standing document as it is.

        Raises:
            PortError: If AppConfig or the record's store cannot be read or the record not written.
        """
        for _ in range(RECORD_TRIES):
            stored = self._checkpoints.load([RECORD_KEY])[RECORD_KEY]
            record = decode_record(stored.data, now_s=now_s, limits=self._limits)
            seen = self._look(record)
            record, found = self._notice(record, seen)
            revision = max(record.revision, seen.document.revision if seen.document else 0)
            if not params and seen.document is None:
                return _report("unchanged", False, revision, "nothing is wished and nothing stands")
            theirs = seen.document is not None and DEFAULTS in record.edited
            wished = without_edited(params, record.edited)
            urgent = urgent or tightens(seen.document, wished)
            try:
                wish = self._wishes.make(
                    seen.document,
                    wished,
                    defaults=seen.document.defaults if theirs and seen.document else self._defaults,
                    policy_hash=policy_hash,
                    revision=revision + 1,
                    now_s=now_s,
                    content=seen.facts.standing,
                )
                planned = plan(
                    record, seen.facts, content=wish.content, urgent=urgent, now_s=now_s, limits=self._limits
                )
                if planned.code == "start":
                    wish = written(wish, now_s=now_s)
                    planned = planned._replace(
                        record=planned.record._replace(revision=wish.document.revision)
                    )
            except ContractError as error:
                return _report("failed", False, revision, f"refused before anything was written: {error}")
            version = self._save(stored.version, stored.data, planned.record, now_s=now_s)
            if version is None:
                continue
            if planned.code != "start":
                report = _report(planned.code, planned.pending, revision, planned.detail)
            else:
                report = self._deploy(wish, seen, record, planned, version, now_s=now_s)
            return report._replace(found_edited=found, kept_edited=record.edited)
        return _report("in_flight", True, revision, "other controllers keep writing the publisher's record")

    # --- looking ---------------------------------------------------------------------------

    def _look(self, record: Record) -> _Seen:
        deployments = self._api.deployments()
        document, content, version, number = self._standing(deployments)
        rolled_back = tuple(
            RolledBack(d.number, self._readings.content_at(d.version))
            for d in deployments
            if d.ours and d.state in ROLLED_BACK and d.number > record.rollback_seen
        )
        facts = Facts(
            standing=content,
            in_flight=any(d.state in IN_FLIGHT for d in deployments),
            latest_number=deployments[0].number if deployments else 0,
            rolled_back=rolled_back,
        )
        return _Seen(facts, deployments, document, version, number)

    def _notice(self, record: Record, seen: _Seen) -> tuple[Record, tuple[str, ...]]:
        """Return the record that knows what stands, and the targets that somebody else changed in it."""
        facts = seen.facts
        if seen.document is None or facts.standing == record.published:
            return record, ()
        known = record._replace(published=facts.standing, published_version=seen.version)
        if facts.standing in {FIRST_CONTENT, *(doubt.content for doubt in record.doubts)}:
            return known, ()  # the stack's own, or a start of ours that got no answer
        if not is_edit(
            standing=facts.standing,
            published=record.published,
            intended=record.intent.content if record.intent else "",
            # AppConfig goes back to what was deployed before; what came after is not its doing.
            rolled_back=[rolled.content for rolled in facts.rolled_back if rolled.number > seen.number],
        ):
            return known, ()
        before = self._readings.at(record.published_version).document if record.published_version else None
        found = edited_targets(before, seen.document)
        return known._replace(edited=tuple(sorted({*record.edited, *found}))), found

    def _standing(self, deployments: list[Deployment]) -> tuple[Document | None, str, int, int]:
        """Return our newest readable document that stands or is in flight, what really stands, where it is.

        An unreadable document stands too; it equals no wish, so the next one replaces it.
        """
        content = ""
        for deployment in deployments:
            if deployment.ours and deployment.state in STANDING:
                document, identity = self._readings.at(deployment.version)
                if document is not None:
                    content = content or identity
                    return document, content, deployment.version, deployment.number
                content = content or f"{UNREADABLE}{deployment.number}"
        return None, content, 0, 0

    # --- the record ------------------------------------------------------------------------

    def _save(self, version: int, data: bytes, record: Record, *, now_s: float) -> int | None:
        """Store the record if it differs; return the version that stands, None if somebody else wrote."""
        new = encode_record(record)
        if new == (data or encode_record(Record())):
            return version
        outcome = self._checkpoints.save(
            RECORD_KEY, new, expected_version=version, write_id=self._new_id(), stamp_s=now_s, now_s=now_s
        )
        return None if isinstance(outcome, Conflict) else outcome.version

    def _settle(
        self, outcome: _Outcome, before: Record, planned: Plan, version: int, wish: Wish, *, now_s: float
    ) -> None:
        """Clear the intent and give an unused slot back; if that fails, the next run sees it by the facts."""
        record = planned.record._replace(intent=None)
        if not outcome.slot_used:
            record = record._replace(starts=before.starts)
        if outcome.code == "deployed":
            record = without_locked_doubts(record)
        elif outcome.slot_used:
            record = doubting(planned.record)._replace(starts=record.starts, intent=None)
        if outcome.refused:
            record = hold_content(record, wish.content, until_s=now_s + self._limits.hold_s)
        try:
            self._save(version, encode_record(planned.record), record, now_s=now_s)
        except PortError:
            return  # what happened, happened: the report must not deny it

    # --- acting ----------------------------------------------------------------------------

    def _deploy(
        self, wish: Wish, seen: _Seen, before: Record, planned: Plan, record_version: int, *, now_s: float
    ) -> PublishReport:
        versions: list[Version] = []
        hosted = NO_VERSION
        try:
            versions = self._api.versions()
            wish = above(wish, versions[0].number if versions else 0)
            hosted = self._hosted_version(wish, seen, versions)
            outcome = self._start(wish, hosted.number, seen)
        except AwsError as error:
            outcome = _failure(error)
        except ContractError as error:
            outcome = _Outcome("failed", False, f"refused before anything was written: {error}", False)
        revision = wish.document.revision
        record = planned.record._replace(revision=revision)
        if outcome.code == "deployed":
            record = record._replace(published=wish.content, published_version=hosted.number)
        planned = planned._replace(record=record)
        self._settle(outcome, before, planned, record_version, wish, now_s=now_s)
        if outcome.code != "deployed":
            standing = seen.document.revision if seen.document else 0
            return _report(outcome.code, outcome.pending, standing, outcome.detail)
        deployed = self._readings.at(hosted.number).document if hosted in versions else wish.document
        pruned = self._prune(versions, seen)
        return _report("deployed", False, (deployed or wish.document).revision, f"{outcome.detail}; {pruned}")

    def _hosted_version(self, wish: Wish, seen: _Seen, versions: list[Version]) -> Version:
        """Return a hosted version with the wished content: left over by an earlier attempt, or new."""
        newest = versions[0] if versions else NO_VERSION
        if newest.description == wish.description and self._is_left_over(newest, wish, seen):
            return newest
        try:
            number = self._api.create(wish.data, description=wish.description, latest=newest.number)
        except AwsError as error:
            if not (error.outcome_unknown or error.code == CONFLICT):
                raise
            # No reply, or the client's own retry met what its first try had made.
            created = next(iter(self._api.versions()), NO_VERSION)
            if created.number > newest.number and self._api.content(created.number) == wish.data:
                return created
            raise
        return Version(number, wish.description)

    def _is_left_over(self, version: Version, wish: Wish, seen: _Seen) -> bool:
        """Return whether an earlier attempt created this version and nobody deployed it or anything newer."""
        if any(d.version == version.number for d in seen.deployments):
            return False
        document, content = self._readings.at(version.number)
        standing = seen.document.revision if seen.document else 0
        return document is not None and document.revision > standing and content == wish.content

    def _start(self, wish: Wish, hosted: int, seen: _Seen) -> _Outcome:
        try:
            number = self._api.start(hosted, latest=seen.facts.latest_number, description=wish.description)
        except AwsError as error:
            if error.reason == INVALID_CONFIGURATION:
                return _Outcome("failed", False, f"a validator refused it: {error}", False, refused=True)
            if not (error.outcome_unknown or error.code == CONFLICT):
                raise
            return self._after_doubt(hosted, seen, error)
        return _Outcome("deployed", False, f"deployment {number} of version {hosted}", True)

    def _after_doubt(self, hosted: int, seen: _Seen, doubt: AwsError) -> _Outcome:
        """Look whether a start without reply, or in conflict (perhaps with itself), went through."""
        try:
            deployments = self._api.deployments()
        except AwsError as error:
            return _Outcome("failed", True, f"{doubt}; then {error}", True)
        newer = (d for d in deployments if d.number > seen.facts.latest_number)
        mine = next((d for d in newer if d.ours and d.version == hosted), None)
        if mine is not None:
            detail = f"deployment {mine.number} of version {hosted}, reply lost"
            return _Outcome("deployed", False, detail, True)
        if doubt.code == CONFLICT:
            return _Outcome("in_flight", True, "another deployment came first", False)
        # The slot stays used: the start may still appear.
        return _Outcome("failed", True, f"{doubt}; no deployment is to be seen", True)

    def _prune(self, versions: list[Version], seen: _Seen) -> str:
        """Delete versions beyond the newest, oldest first; none of a recent deployment or of the stack."""
        needed = {FIRST_VERSION, *(d.version for d in seen.deployments[: KEEP_VERSIONS - 1])}
        # One place is for the version that was just deployed.
        old = [v.number for v in versions[KEEP_VERSIONS - 1 :] if v.number not in needed]
        deleted = 0
        for number in reversed(old[-PRUNE_MAX:]):
            try:
                self._api.delete(number)
            except PortError as error:
                return f"{deleted} old versions deleted, then {error}"
            deleted += 1
        return f"{deleted} old versions deleted"


def _failure(error: AwsError) -> _Outcome:
    """Return the outcome of a call before the start, or of a start that was refused: no slot is used."""
    if error.code == CONFLICT:
        return _Outcome("in_flight", True, "another version or deployment came first", False)
    return _Outcome("failed", error.retryable, str(error), False)


def _report(code: str, pending: bool, revision: int, detail: str) -> PublishReport:
    return PublishReport(PublishStatus(code, pending), revision, detail)


if TYPE_CHECKING:
    _fits: type[ConfigPublisher] = AppConfigPublisher
