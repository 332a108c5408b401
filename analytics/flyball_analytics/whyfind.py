"""Finding the decision that somebody asks about: by sequence or by time, in a journal or a replayed history.

An id is `target@sequence`, as journals number steps, or `target@time`: the decision in
force at that time, which is the newest one made until then. Numbers below the year
2000 are sequences. Of several records with one sequence (a late window changes no
state) the one that made the step is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flyball_analytics.journalfile import Chain, Entry
from flyball_analytics.moments import EARLIEST_S, MomentError, parse_moment, utc
from flyball_analytics.replay import replay_series
from flyball_analytics.series import Series
from flyball_controller.codec import decode_state
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State
from flyball_controller.policy_set import PRESETS, PolicySet, load_preset


class DecisionError(ValueError):
    """An id that is none, or that names no decision here: the user's to mend."""


class DecisionId(NamedTuple):
    """Which decision; exactly one of `sequence` and `at_s` is given."""

    target: str
    sequence: int | None
    at_s: float | None

    def __str__(self) -> str:
        return f"{self.target}@{self.sequence if self.at_s is None else utc(self.at_s)}"


class Found(NamedTuple):
    """A decision with the state before it; `state` None: the journal does not lead to one."""

    entry: Entry
    state: State | None
    note: str

    @property
    def decision_id(self) -> str:
        """Its id by sequence."""
        return f"{self.entry.target}@{self.entry.record.get('sequence')}"


def parse_decision_id(text: str) -> DecisionId:
    """Return the id that a text names.

    Raises:
        DecisionError: If it is none; says how to write one.

    >>> parse_decision_id("pay@412"), parse_decision_id("pay@2026-01-05T00:32:00Z").at_s
    (DecisionId(target='pay', sequence=412, at_s=None), 1767573120.0)
    """
    target, at, rest = text.rpartition("@")
    if not (target and at and rest):
        raise DecisionError(
            f"{text!r} is no decision: write target@sequence or target@time, like pay@412 or "
            "pay@2026-01-05T00:32:00Z"
        )
    if rest.isascii() and rest.isdigit() and int(rest) < EARLIEST_S:
        return DecisionId(target, int(rest), None)
    try:
        return DecisionId(target, None, parse_moment(rest))
    except MomentError as error:
        raise DecisionError(f"{text!r}: {error}, or a sequence") from error


def find_in_journal(entries: Iterable[Entry], wanted: DecisionId, policies: PolicySet | None) -> Found:
    """Return the decision from a journal, reading no further than needed.

    Args:
        entries: Of any targets, each oldest first.
        wanted: Which.
        policies: What was in force; None: the preset whose identity the records carry, if any.

    Raises:
        DecisionError: If the journal holds no such decision; says what it holds.
        CheckpointError: If a record on the way is damaged.
    """
    targets: set[str] = set()
    search = _Search(wanted)
    for entry, state in _chained(entries, wanted.target, policies, targets):
        if search.passed(entry):
            break
        search.take(entry, state)
    if search.first is None:
        known = ", ".join(sorted(targets)[:8]) or "none"
        raise DecisionError(f"there is no decision on {wanted.target!r}; targets here are {known}")
    return search.result()


def _chained(
    entries: Iterable[Entry], target: str, policies: PolicySet | None, targets: set[str]
) -> Iterator[tuple[Entry, State | bytes | None]]:
    """Yield the target's decisions, each with the state before it as far as the journal leads to one."""
    chain: Chain | None = None
    for entry in entries:
        if not entry.is_decision:
            continue
        targets.add(entry.target)
        if entry.target != target:
            continue
        if chain is None:
            known = policies or preset_in_force(entry)
            chain = Chain(known.for_target) if known is not None else Chain(None)
        before = chain.before(entry)
        yield entry, before
        if before is not None:
            chain.advance(entry, before)


class _Search:
    """What was seen so far of one target's decisions, and the best answer."""

    def __init__(self, wanted: DecisionId) -> None:
        self._wanted = wanted
        self.first: Entry | None = None
        self._last: Entry | None = None
        self._best: tuple[Entry, State | bytes | None] | None = None

    def passed(self, entry: Entry) -> bool:
        """Return whether this decision lies beyond the wanted one."""
        if self._wanted.at_s is not None:
            beyond = at_s(entry) > self._wanted.at_s
        else:
            beyond = self._best is not None and sequence(entry) > sequence(self._best[0])
        if beyond:
            self.first = self.first or entry
        return beyond

    def take(self, entry: Entry, state: State | bytes | None) -> None:
        """Remember a decision if it is a better answer."""
        self.first = self.first or entry
        self._last = entry
        if self._wanted.at_s is not None or (
            sequence(entry) == self._wanted.sequence
            and (self._best is None or (not _stepped(self._best[0]) and _stepped(entry)))
        ):
            self._best = (entry, state)

    def result(self) -> Found:
        """Return the answer.

        Raises:
            DecisionError: If nothing fits; says what there is.
        """
        assert self.first is not None  # noqa: S101 - callers look first
        if self._best is None:
            if self._wanted.at_s is not None:
                raise DecisionError(
                    f"{self._wanted} lies before the first decision here, made {utc(at_s(self.first))}"
                )
            last = self._last or self.first
            raise DecisionError(
                f"there is no decision {self._wanted}; sequences here go from {sequence(self.first)} to "
                f"{sequence(last)}, and a journal of production holds only what was news: name it by time"
            )
        entry, state = self._best
        decoded = decode_state(state) if isinstance(state, bytes) else state
        return Found(entry, decoded, _note(entry, self._wanted))


def at_s(entry: Entry) -> float:
    """Return when the decision was made."""
    return float(entry.record.get("at_s", 0.0))


def sequence(entry: Entry) -> int:
    """Return the number of the step."""
    return int(entry.record.get("sequence", 0))


def _stepped(entry: Entry) -> bool:
    """Return whether the decision changed the state: a late window does not, and bears the last number."""
    return entry.record.get("state_before") != entry.record.get("state_after")


def _note(entry: Entry, wanted: DecisionId) -> str:
    if wanted.at_s is None or wanted.at_s == at_s(entry):
        return ""
    made = utc(at_s(entry))
    return f"{utc(wanted.at_s)}: no decision was made then; this one, made {made}, was the newest"


def find_in_history(series: Series, wanted: DecisionId, policy: Policy) -> Found:
    """Return the decision from a history, replayed until it is reached.

    Raises:
        DecisionError: If the replay makes no such decision.
    """
    if wanted.target != series.target:
        raise DecisionError(f"the history is of {series.target!r}, not of {wanted.target!r}")
    search = _Search(wanted)
    for number, replayed in enumerate(replay_series(series, policy=policy), start=1):
        entry = Entry(f"{series.path}, step {number}", replayed.record())
        if search.passed(entry):
            break
        search.take(entry, replayed.state_before)
    if search.first is None:
        raise DecisionError(f"{series.path}: no window, and so no decision")
    return search.result()


def preset_in_force(entry: Entry) -> PolicySet | None:
    """Return the preset whose identity a record carries, None if it was another policy."""
    for name in PRESETS:
        preset = load_preset(name)
        if preset.default.digest == entry.record.get("policy_hash"):
            return preset
    return None


def check_policy(entry: Entry, policy: Policy) -> None:
    """Refuse a policy that was not the one in force: its counterfactuals would be about another decision.

    Raises:
        CheckpointError: If its identity differs from the record's.
    """
    recorded = entry.record.get("policy_hash")
    if recorded != policy.digest:
        raise CheckpointError(
            f"{entry.place}: was decided under policy {recorded}, the given one is {policy.digest}: "
            "give the policy file that was in force with --policy"
        )
