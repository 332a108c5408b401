"""The document that a publisher wishes: merging, identity, and the revision that only rises. Pure.

The identity of a document is what it says (targets, defaults, policy), not when
or as which revision: an equal identity need not be deployed again. It is taken
from the document as a client would read it, so that 1 and 1.0, or a section left
out and the same section spelt out, are the same content.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from flyball.contract import (
    DEFAULT_PARAMS,
    ContractError,
    Document,
    TargetParams,
    decode_document,
    encode_document,
)
from flyball_controller.codec import canonical_json

UNREADABLE = "unreadable:"  # begins what stands in for the identity of a document that cannot be read
HASH_PREFIX = "flyball content "  # of the description of a version and of a deployment
T = TypeVar("T")

READINGS_KEPT = 4  # what stands, what is in flight, what we published, what was rolled back
CONTENTS_KEPT = 64  # identities, 150 bytes each; of more versions than recent deployments name


class Wish(NamedTuple):
    """A document that may be published."""

    document: Document
    data: bytes
    content: str

    @property
    def description(self) -> str:
        """What the version is called in AppConfig: how it is recognised after a lost reply."""
        return HASH_PREFIX + self.content


def content_hash(document: Document) -> str:
    """Return the identity of a decoded document's content, 64 hex digits.

    >>> d = Document(1, "2026-11-23T12:00:00Z", "p", {})
    >>> content_hash(d) == content_hash(d._replace(revision=2, generated_at=""))
    True
    """
    content = (document.targets, document.defaults, document.policy_hash)
    return hashlib.sha256(canonical_json(content)).hexdigest()


# The document that the template deploys: no targets, and the policy "" that nobody has. An update of the
# stack may deploy it again (CloudFormation replaces a deployment to change its tags): nobody meant anything.
FIRST_CONTENT = content_hash(Document(0, "", "", {}))
FIRST_VERSION = 1  # the stack's own: without it that could not be done, and the update would fail


class Reading(NamedTuple):
    """What bytes say to a client: the document (None if it could not read them) and its identity."""

    document: Document | None
    content: str


NOTHING_READ = Reading(None, "")


class Readings:
    """What hosted versions say: the documents of the last few used, and the identities of more.

    A tick meets the same versions as the tick before, and most publish nothing: they would fetch, read
    and hash the fleet's document for nothing. Versions never change, so that bytes need not be kept.

    Args:
        fetch: Returns the bytes of a version, None if it is gone; may raise.
    """

    def __init__(self, fetch: Callable[[int], bytes | None] = lambda _: None) -> None:
        self._fetch = fetch
        self._kept: dict[int, Reading] = {}
        self._contents: dict[int, str] = {}

    @staticmethod
    def of(data: bytes) -> Reading:
        """Return what the bytes say. Total: unreadable bytes give no document and the identity "".

        >>> Readings.of(b"{}")
        Reading(document=None, content='')
        """
        try:
            document = decode_document(data)
        except ContractError:
            return NOTHING_READ
        return Reading(document, content_hash(document))

    def at(self, version: int) -> Reading:
        """Return what a version says; nothing if it is gone, which is asked again each time."""
        if self._contents.get(version) == "":
            return NOTHING_READ
        reading = self._kept.pop(version, None)
        if reading is None:
            data = self._fetch(version)
            if data is None:
                return NOTHING_READ
            reading = self.of(data)
            _remember(self._contents, version, reading.content, CONTENTS_KEPT)
        if reading.document is not None:
            _remember(self._kept, version, reading, READINGS_KEPT)  # the newest used stands last
        return reading

    def content_at(self, version: int) -> str:
        """Return the identity of a version, "" if it is gone or unreadable."""
        known = self._contents.get(version)
        return self.at(version).content if known is None else known


def _remember(kept: dict[int, T], version: int, what: T, limit: int) -> None:
    """Keep it, and let go of what has been in there longest if there are too many."""
    kept[version] = what
    if len(kept) > limit:
        del kept[next(iter(kept))]


def adds_nothing(
    standing: Document, params: Mapping[str, TargetParams], *, defaults: TargetParams, policy_hash: str
) -> bool:
    """Return whether the standing document already says all that `Wishes.make` would make of it.

    Nine rounds in ten wish what stands; encoding the fleet's document only to find that out is
    most of what such a round would cost.
    """
    says_it = all(standing.targets.get(name) == wished for name, wished in params.items())
    return says_it and standing.defaults == defaults and standing.policy_hash == policy_hash


def tightens(standing: Document | None, params: Mapping[str, TargetParams]) -> bool:
    """Return whether a wish protects any target more than the document that stands.

    Whoever wishes says so only in the round that decided it. If that one met a deployment in
    flight, the wish must not be taken for a loosening from then on.

    >>> tightens(Document(1, "", "p", {}), {"a": DEFAULT_PARAMS})
    False
    """
    if standing is None:
        return False
    nominal = DEFAULT_PARAMS.retry.budget_ratio  # a raised budget that comes back to it tightens nothing
    for name, wished in params.items():
        now, then = standing.targets.get(name, standing.defaults).retry, wished.retry
        lower_budget = then.budget_ratio < min(now.budget_ratio, nominal)
        fewer = then.max_attempts < now.max_attempts
        if lower_budget or fewer or then.throttle_base_ms > now.throttle_base_ms:
            return True
    return False


class Wishes:
    """Makes wishes, and remembers what the last one said: a pending one comes again at each tick.

    To encode a fleet's document, and to read it back as a client would, is most of what such a tick costs.
    """

    def __init__(self) -> None:
        self._said: Document | None = None
        self._content = ""

    def make(
        self,
        standing: Document | None,
        params: Mapping[str, TargetParams],
        *,
        defaults: TargetParams,
        policy_hash: str,
        revision: int,
        now_s: float,
        content: str = "",
    ) -> Wish:
        """Return the standing document with the wished parameters in it; targets not wished keep theirs.

        If `content` is known and the wish adds nothing to it, that is the standing document itself,
        without bytes: there is nothing to write. An unreadable document that stands above it has
        another identity, which no wish equals. Without bytes, too, is what the last call wished
        already: `written` makes them.

        Args:
            standing: Newest document known, None if there is none.
            params: Wished parameters per target.
            defaults: Parameters of targets that the document does not name.
            policy_hash: Identity of the policies behind the wish.
            revision: Of the new document; higher than any before.
            now_s: Epoch seconds.
            content: Identity of what stands, "" = not known.

        Raises:
            ContractError: If any client would refuse or bend it, or it is larger than 64 KiB (A1).
        """
        known = standing is not None and content and not content.startswith(UNREADABLE)
        if known and standing and adds_nothing(standing, params, defaults=defaults, policy_hash=policy_hash):
            self._said = None
            return Wish(standing, b"", content)
        targets = {**(standing.targets if standing else {}), **params}
        said = Document(0, "", policy_hash, targets, defaults)
        if said == self._said:
            return Wish(said._replace(revision=revision), b"", self._content)
        wish = exact_wish(said._replace(revision=revision), now_s=now_s)
        self._said, self._content = said, wish.content
        return wish


def written(wish: Wish, *, now_s: float) -> Wish:
    """Return the wish with its bytes, made at `now_s` (epoch seconds) unless it has some.

    Raises:
        ContractError: As `Wishes.make`: a longer revision may be what no longer fits.
    """
    return wish if wish.data else exact_wish(wish.document, now_s=now_s)


def exact_wish(document: Document, *, now_s: float) -> Wish:
    """Return the document as a wish, made at `now_s` (epoch seconds).

    Raises:
        ContractError: As `Wishes.make`.
    """
    moment = dt.datetime.fromtimestamp(now_s, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _as_wish(document._replace(generated_at=moment))


def above(wish: Wish, newest_version: int) -> Wish:
    """Return the wish with a revision that no earlier document can have had.

    Every document took at least one version number, and those never restart. So
    after a lost record or an unreadable document the next revision is still
    higher than the one that clients hold (they would ignore a lower one).

    Args:
        wish: The wish.
        newest_version: Newest hosted version number, 0 = none.
    """
    if wish.document.revision > newest_version:
        return wish
    return _as_wish(wish.document._replace(revision=newest_version + 1))


def _as_wish(document: Document) -> Wish:
    data = encode_document(document)  # reads back strictly what it wrote
    return Wish(document, data, content_hash(decode_document(data)))
