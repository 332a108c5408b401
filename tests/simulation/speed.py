"""Pure functions of the product, remembered while a simulation runs: the same bytes are decoded once.

A run decodes the same few configuration documents hundreds of times. Decoding
is a function of the bytes alone and its result is never changed, so that
remembering it changes no decision; it halves the time of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from flyball.contract import Document, decode_document
from flyball_controller.aws import appconfig, publish_document
from flyball_controller.aws.publish_document import content_hash

_decoded = lru_cache(maxsize=512)(decode_document)
_hashes: dict[int, tuple[object, str]] = {}


def _hash(document: Document) -> str:
    """The identity of a document that is the same object as before; kept alive, so that ids stay its own."""
    known = _hashes.get(id(document))
    if known is not None and known[0] is document:
        return known[1]
    if len(_hashes) > 1_000:
        _hashes.clear()
    identity = content_hash(document)
    _hashes[id(document)] = (document, identity)
    return identity


@contextmanager
def remembering() -> Iterator[None]:
    """Remember for the length of a `with`."""
    places = [
        (appconfig, "decode_document", _decoded),
        (publish_document, "decode_document", _decoded),
        (appconfig, "content_hash", _hash),
        (publish_document, "content_hash", _hash),
    ]
    before = [getattr(where, name) for where, name, _ in places]
    for where, name, what in places:
        setattr(where, name, what)
    try:
        yield
    finally:
        for (where, name, _), what in zip(places, before, strict=True):
            setattr(where, name, what)
