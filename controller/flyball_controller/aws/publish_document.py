"""The document that a publisher wishes: merging, identity, and the revision that only rises. Pure.

The identity of a document is what it says (targets, defaults, policy), not when
or as which revision: an equal identity need not be deployed again. It is taken
from the document as a client would read it, so that 1 and 1.0, or a section left
out and the same section spelt out, are the same content.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from flyball.contract import ContractError, Document, TargetParams, decode_document, encode_document
from flyball_controller.codec import canonical_json

UNREADABLE = "unreadable:"  # begins what stands in for the identity of a document that cannot be read
HASH_PREFIX = "flyball content "  # of the description of a version and of a deployment
READINGS_KEPT = 4  # what stands, what is in flight, what we published, what was rolled back


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


class Reading(NamedTuple):
    """What bytes say to a client: the document (None if it could not read them) and its identity."""

    document: Document | None
    content: str


class Readings:
    """Reads bytes, and remembers the last few: a tick meets the same bytes as the tick before.

    Most rounds publish nothing, and would read and hash the fleet's document for nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, Reading] = {}

    def of(self, data: bytes) -> Reading:
        """Return what the bytes say. Total: unreadable bytes give no document and the identity "".

        >>> Readings().of(b"{}")
        Reading(document=None, content='')
        """
        reading = self._kept.pop(data, None)
        if reading is None:
            try:
                document = decode_document(data)
                reading = Reading(document, content_hash(document))
            except ContractError:
                reading = Reading(None, "")
        self._kept[data] = reading  # the newest used stands last
        if len(self._kept) > READINGS_KEPT:
            del self._kept[next(iter(self._kept))]
        return reading


def adds_nothing(
    standing: Document, params: Mapping[str, TargetParams], *, defaults: TargetParams, policy_hash: str
) -> bool:
    """Return whether the standing document already says all that `make_wish` would make of it.

    Nine rounds in ten wish what stands; encoding the fleet's document only to find that out is
    most of what such a round would cost.
    """
    says_it = all(standing.targets.get(name) == wished for name, wished in params.items())
    return says_it and standing.defaults == defaults and standing.policy_hash == policy_hash


def make_wish(
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
    another identity, which no wish equals.

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
        return Wish(standing, b"", content)
    targets = {**(standing.targets if standing else {}), **params}
    return exact_wish(Document(revision, "", policy_hash, targets, defaults), now_s=now_s)


def exact_wish(document: Document, *, now_s: float) -> Wish:
    """Return the document as a wish, made at `now_s` (epoch seconds).

    Raises:
        ContractError: As `make_wish`.
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
