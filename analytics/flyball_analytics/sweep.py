"""Many policies over the same histories: cut into shards, run anywhere, added up in a fixed order.

Three steps. `Search.add_candidates` cuts the work into shards and writes them down;
`drive` runs those without a result on an executor and tries again what failed;
`Search.measured` adds the results up. The first and the last depend on nothing but
their arguments, so that the outcome is the same for every executor, number of workers
and number of interruptions.

A shard that fails three times is poison: it is listed with its error, and its candidates
are dropped. If it is the one of the policy in force, its history is left out *for all
candidates*: figures over different histories do not compare.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from flyball_analytics.executors import Executor, Task
from flyball_analytics.labels import Labels
from flyball_analytics.series import Series
from flyball_analytics.shards import Kind, Shard, decode, fields_of, parts_in
from flyball_analytics.shards_figures import Part, join_parts
from flyball_analytics.shards_input import pack_series, packed
from flyball_analytics.space import Point, policy_at
from flyball_analytics.sweep_holdout import Holdout
from flyball_analytics.sweep_store import Attempt, Store
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.policy import Policy
from flyball_controller.policy_set import PolicySet

ATTEMPTS_MAX = 3  # a shard that fails is tried twice more
BATCH = 8  # policies in a shard: enough to pay for reading its input, few enough to lose little


class Source(NamedTuple):
    """One history or scenario of a search. `held`: the whole of it is held out."""

    kind: Kind
    name: str
    input: str
    labels: Labels | None
    held: bool
    seeds: tuple[int, ...] = (0,)


class Candidate(NamedTuple):
    """One set of policies; number 0 is the one in force, which changes nothing."""

    number: int
    point: Point
    policies: PolicySet


class Measured(NamedTuple):
    """What a candidate came to: on what it may be fitted to, on what was held out, and in the closed loop."""

    candidate: Candidate
    fit: Part
    held: Part
    lost_min: float | None


class Tally(NamedTuple):
    """The candidates that can be compared, the sources and the numbers of the candidates that cannot."""

    measured: list[Measured]
    left_out: tuple[str, ...]
    dropped: tuple[int, ...]


class Poison(NamedTuple):
    """A shard that could not be run."""

    key: str
    source: str
    error: str


class Work(NamedTuple):
    """Where the figures of some candidates over one source are found."""

    key: str
    source: int
    seed: int
    candidates: tuple[int, ...]


class Search:
    """The sources, the candidates and the shards of one search."""

    def __init__(self, store: Store, *, batch: int = BATCH) -> None:
        """Start without sources and candidates.

        Args:
            store: Where inputs, shards and results lie.
            batch: Policies in a shard, at least 1.
        """
        self.store = store
        self.sources: list[Source] = []
        self.candidates: list[Candidate] = []
        self.works: list[Work] = []
        self._held_ratio = 0.0
        self._batch = batch

    # --- what to run ------------------------------------------------------------------

    def add_history(self, series: Series, labels: Labels | None) -> None:
        """Take a history into the search."""
        digest = self.store.add_input(pack_series(series))
        self.sources.append(Source(Kind.HISTORY, series.target, digest, labels, False))

    def hold_out(self, holdout: Holdout) -> None:
        """Keep whole histories, or the last days of each, for judging; before there are candidates."""
        self._held_ratio = holdout.days_ratio
        self.sources = [one._replace(held=one.name in holdout.services) for one in self.sources]

    def add_scenario(self, name: str, data: bytes, seeds: Sequence[int]) -> None:
        """Take the closed loop of a scenario's YAML bytes into the search, once per seed."""
        digest = self.store.add_input(packed(data))
        self.sources.append(Source(Kind.SCENARIO, name, digest, None, False, tuple(seeds)))

    def add_candidates(self, candidates: Sequence[Candidate]) -> list[str]:
        """Cut the candidates into shards and return their keys, in a fixed order."""
        self.candidates.extend(candidates)
        keys = []
        for chosen in self._batches(candidates):
            for place, source in enumerate(self.sources):
                for seed in source.seeds:
                    key = self.store.add_shard(self._shard(source, seed, chosen).encode())
                    self.works.append(Work(key, place, seed, tuple(one.number for one in chosen)))
                    keys.append(key)
        self.store.write_items(list(dict.fromkeys(work.key for work in self.works)))
        return list(dict.fromkeys(keys))

    def _batches(self, candidates: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
        """Yield the candidates of each shard; the policy in force has one of its own."""
        first = 1 if candidates and candidates[0].number == 0 else 0
        if first:
            yield candidates[:1]
        for begin in range(first, len(candidates), self._batch):
            yield candidates[begin : begin + self._batch]

    def _shard(self, source: Source, seed: int, candidates: Sequence[Candidate]) -> Shard:
        history = source.kind is Kind.HISTORY
        policies = [
            one.policies.for_target(source.name) if history else one.policies.default for one in candidates
        ]
        return Shard(
            source.kind,
            source.input,
            source.name,
            tuple(fields_of(policy) for policy in policies),
            source.labels,
            self._held_ratio if history and not source.held else 0.0,
            seed,
        )

    # --- what came of it --------------------------------------------------------------

    def measured(self, numbers: Collection[int] | None = None) -> Tally:
        """Return what the candidates came to, or those of these numbers.

        A source without a result for the policy in force is left out for all. A candidate
        without a result on any other source is dropped.
        """
        results = {
            work.key: self.store.result(work.key)
            for work in self.works
            if numbers is None or 0 in work.candidates or any(number in numbers for number in work.candidates)
        }
        left_out = {work.source for work in self.works if 0 in work.candidates and results[work.key] is None}
        dropped: set[int] = set()
        found: dict[int, dict[int, list[dict[str, object]]]] = defaultdict(lambda: defaultdict(list))
        for work in self.works:
            if work.source in left_out or work.key not in results:
                continue
            entries = results[work.key]
            if entries is None:
                dropped.update(work.candidates)
                continue
            for number, entry in zip(work.candidates, entries, strict=True):
                found[number][work.source].append(entry)
        kept = [
            self._joined(one, found[one.number])
            for one in self.candidates
            if one.number not in dropped and (numbers is None or one.number in numbers)
        ]
        names = tuple(self.sources[place].name for place in sorted(left_out))
        return Tally(kept, names, tuple(sorted(dropped)))

    def _joined(
        self, candidate: Candidate, entries: Mapping[int, Sequence[Mapping[str, object]]]
    ) -> Measured:
        fit: list[Part] = []
        held: list[Part] = []
        lost: list[float] = []
        for place, parts in entries.items():
            source = self.sources[place]
            for entry in parts:
                if source.kind is Kind.SCENARIO:
                    lost.append(float(str(entry["lost_min"])))
                    continue
                early, late = parts_in(entry)
                (held if source.held else fit).append(early)
                held.append(late)
        return Measured(candidate, join_parts(fit), join_parts(held), sum(lost) / len(lost) if lost else None)

    def poison(self, errors: Mapping[str, str]) -> list[Poison]:
        """Return the shards without a result, each with what `drive` said about it."""
        named = {work.key: self.sources[work.source].name for work in self.works}
        return [Poison(key, named[key], error) for key, error in errors.items()]


def candidate_at(policies: PolicySet, number: int, point: Point) -> Candidate:
    """Return the candidate at a point; a target's own setting of a field stays its own.

    Raises:
        PolicyError: If the point breaks a rule between fields for any target.
    """
    default = policy_at(policies.default, point)
    targets: dict[str, Policy] = {}
    for name, own in policies.targets.items():
        shared = {
            field: value
            for field, value in point.items()
            if getattr(own, field) == getattr(policies.default, field)
        }
        targets[name] = policy_at(own, shared)
    return Candidate(number, point, PolicySet(default, targets, f"{policies.name}#{number}"))


def candidates_at(policies: PolicySet, points: Iterator[Point]) -> tuple[list[Candidate], list[str]]:
    """Return a candidate per point, each set of policies once, and why points were left out.

    Number 0 is the policy in force.
    """
    found = [Candidate(0, {}, policies)]
    known = {policies.hash}
    refused = []
    for point in points:
        try:
            one = candidate_at(policies, len(found), point)
        except PolicyError as error:
            refused.append(str(error))
            continue
        if one.policies.hash not in known:
            known.add(one.policies.hash)
            found.append(one)
    return found, refused


def drive(
    keys: Sequence[str],
    store: Store,
    executor: Executor,
    *,
    now_s: Callable[[], float],
    errors: dict[str, str],
) -> Iterator[str]:
    """Run the shards that have no result, and yield the key of each that is settled, done or poison.

    Args:
        keys: Of shards in the store.
        store: Takes the results, one by one as they come.
        executor: Runs them.
        now_s: The time, for the journal.
        errors: Takes the last error of each poison shard, by key.

    Raises:
        ExecutorError: If the executor loses all its workers; what was done is kept.
    """
    todo = []
    for key in keys:
        if store.has_result(key):
            yield key
        else:
            todo.append(key)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        failed = []
        for done in executor.run(_task(key, store, executor) for key in todo):
            error = done.error
            if done.result is not None:
                store.add_result(done.key, done.result)
            store.note(Attempt(done.key, attempt, now_s(), error))
            if done.result is not None:
                yield done.key
                continue
            failed.append(done.key)
            errors[done.key] = error
        todo = sorted(failed)
        if not todo:
            break
    for key in set(errors) - set(todo):
        del errors[key]
    yield from todo


def _task(key: str, store: Store, executor: Executor) -> Task:
    shard = store.shard(key)
    content = None
    if executor.ships:
        content = store.input_path(decode(shard).input).read_bytes()
    return Task(key, shard, str(store.folder.resolve()), content)
