"""Whether the standing document is ours, and which targets somebody else changed. Pure.

People edit configuration in a console at night, and they have reasons. A
controller that overwrites them within a minute is an opponent, not a tool. So a
content that the publisher did not publish is a decision of its author: the
targets it changed are *kept as edited*, until somebody takes them over with
`flyball apply --take-over`. All other targets go on as before, and circuit
items, which expire by themselves, still protect the edited ones.

Contents are compared by identity (`publish_document.content_hash`), so that
deploying our own content again by hand is no edit. A content that AppConfig
rolled back to is none either. Knows no client, no clock and no store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from flyball.contract import FLEET, Document

T = TypeVar("T")

DEFAULTS = FLEET  # the name under which edited defaults are kept; no target has it


def is_edit(*, standing: str, published: str, intended: str, rolled_back: Collection[str]) -> bool:
    """Return whether the standing content is somebody else's.

    Args:
        standing: Content that stands; "" = none, "unreadable:..." = no document of ours or of anybody.
        published: Content that the publisher saw or deployed last; "" = not known yet, so none of
            its business.
        intended: Content of a deployment that was noted and perhaps started; "" = none.
        rolled_back: Contents that AppConfig has undone since the publisher looked last.

    >>> is_edit(standing="b", published="a", intended="", rolled_back=())
    True
    >>> is_edit(standing="b", published="a", intended="b", rolled_back=())
    False
    >>> is_edit(standing="before", published="a", intended="", rolled_back=("a",))
    False
    """
    readable = standing != "" and ":" not in standing
    ours = standing in (published, intended) or published in rolled_back
    return readable and published != "" and not ours


def edited_targets(published: Document | None, standing: Document) -> tuple[str, ...]:
    """Return the names whose parameters differ, sorted; `DEFAULTS` for those of all other targets.

    Without the published document (its version was deleted) every target of the
    standing one counts: nobody can say any more which were meant.

    >>> from flyball.contract import Document, TargetParams, RetryParams
    >>> other = TargetParams(retry=RetryParams(max_attempts=2))
    >>> a = Document(1, "", "p", {"orders": TargetParams(), "stock": TargetParams()})
    >>> edited_targets(a, a._replace(targets={"orders": other})), edited_targets(None, a)
    (('orders', 'stock'), ('orders', 'stock'))
    """
    if published is None:
        return tuple(sorted(standing.targets))
    names = {*published.targets, *standing.targets}
    changed = {name for name in names if published.targets.get(name) != standing.targets.get(name)}
    if published.defaults != standing.defaults:
        changed.add(DEFAULTS)
    return tuple(sorted(changed))


def without_edited(wishes: Mapping[str, T], edited: Collection[str]) -> dict[str, T]:
    """Return the wishes for targets that nobody edited.

    >>> without_edited({"a": 1, "b": 2}, ("b",))
    {'a': 1}
    """
    return {name: wish for name, wish in wishes.items() if name not in edited}
