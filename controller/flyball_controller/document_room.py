"""How much of the configuration document's 64 KiB a fleet takes, before a publisher finds out.

Every client receives the whole document, so AppConfig and every reader refuse one
above 64 KiB (flyball.records.DOCUMENT_BYTES_MAX). A controller whose document has
grown too large keeps the one that stands, which looks like peace until a target
needs other parameters. So policies and plans are measured where people see it.

Pure. Knows no store: what is in a fleet is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyball.contract import DOCUMENT_BYTES_MAX, Document, TargetParams, encode_document
from flyball_controller.core.model import Mode
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.policy_set import PolicySet
from flyball_controller.publication import to_params

# What the law moves changes a target's bytes by less than a hundredth; the rest is left for new targets.
WARN_RATIO = 0.8
_CHUNK = 50  # targets encoded at once: the encoder refuses what is over the limit, and 50 never are
REMEDY = (
    "split the fleet into installations, each with a prefix, a policy and so a document of its own, by what "
    "functions call; or set EnableAppConfig=false: circuits alone then carry decisions (docs/how-to/scale.md)"
)


class Room(NamedTuple):
    """What a document takes of what is allowed."""

    targets: int
    size_bytes: int

    @property
    def share(self) -> float:
        """The part of the limit that is used; over 1.0 it cannot be published."""
        return self.size_bytes / DOCUMENT_BYTES_MAX

    @property
    def fits(self) -> bool:
        """Whether it can be published."""
        return self.size_bytes <= DOCUMENT_BYTES_MAX

    @property
    def tight(self) -> bool:
        """Whether somebody should act before more targets come; also if it does not fit any more."""
        return self.share > WARN_RATIO

    @property
    def targets_max(self) -> int:
        """About how many such targets fit; 0 = there is none to judge by."""
        return int(DOCUMENT_BYTES_MAX * self.targets / self.size_bytes) if self.targets else 0

    def sentence(self) -> str:
        """Return what is wrong, how far, and what to do.

        >>> Room(200, 70_000).sentence().partition(": ")[0]
        'the document of 200 targets takes 70000 bytes, over the 65536 that clients accept'
        """
        limit = f"the {DOCUMENT_BYTES_MAX} that clients accept"
        over = f"over {limit}" if not self.fits else f"{self.share:.0%} of {limit}"
        return (
            f"the document of {self.targets} targets takes {self.size_bytes} bytes, {over}: "
            f"about {self.targets_max} targets fit; {REMEDY}"
        )


def room_of(document: Document) -> Room:
    """Return what a document takes, also if no encoder would write it.

    Raises:
        ContractError: A name or a number in it is refused.
    """
    empty = len(encode_document(document._replace(targets={})))
    names = list(document.targets)
    size = empty
    for first in range(0, len(names), _CHUNK):
        some = {name: document.targets[name] for name in names[first : first + _CHUNK]}
        # Entries are joined by one comma, within a chunk and between two.
        size += len(encode_document(document._replace(targets=some))) - empty + (first > 0)
    return Room(len(names), size)


def room_of_policies(policies: PolicySet, names: Iterable[str] = ()) -> Room:
    """Return what the document of a policy takes: nominal values for every active target.

    Args:
        policies: The policy; the targets it names are in.
        names: Further targets of the installation.

    Raises:
        ContractError: A name is no target name.
    """
    targets: Mapping[str, TargetParams] = {
        name: to_params(nominal_setpoint(policy), policy)
        for name in sorted({*names, *policies.targets})
        if (policy := policies.for_target(name)).mode == Mode.ACTIVE
    }
    longest = 2**53 - 1  # a revision grows; its digits count
    return room_of(Document(longest, "2026-01-01T00:00:00Z", policies.hash, dict(targets)))
