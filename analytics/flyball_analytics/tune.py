"""Searching where it pays: Optuna proposes policies, ours are evaluated and told back.

Ask and tell, so that evaluation, retries and executors stay ours. The study lies in the
run's folder as Optuna's journal file. Each proposal is drawn by a sampler of its own,
seeded by the trial's number: it depends on the study so far and on nothing else. A run
that was killed and started again proposes, evaluates and ends exactly as one that was
not, and so does one on another number of workers.

Optuna is imported when a study is opened (extra `tune`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flyball_analytics.space import Parameter, Space, Value, rounded
from flyball_controller.codec import canonical_json, short_hash

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

STUDY = "study.jsonl"
_NAME = "flyball"
_IDENTITY = "identity"
# The first trials are drawn blindly, so that the model has something to learn from: twice the fields,
# within what is usual for tree-structured Parzen estimators (Optuna's default is 10).
STARTUP_MIN, STARTUP_MAX = 10, 40


class TuneError(ValueError):
    """A study that cannot be opened or continued; the message says what to do."""


class Trial(NamedTuple):
    """One proposal; `number` counts from 0 in the study."""

    number: int
    point: Mapping[str, Value]


class Tuner:
    """A study in a folder."""

    def __init__(
        self, folder: Path, space: Space, objectives: Sequence[str], *, seed: int, identity: object
    ) -> None:
        """Open the study of a folder, or begin one.

        Args:
            folder: The run's folder.
            space: What may vary.
            objectives: Names of what is told, in this order; all are minimised.
            seed: Decides the proposals.
            identity: Whatever else makes results comparable (policy, inputs, holdout); plain values.

        Raises:
            TuneError: If Optuna is missing, or the folder holds the study of another search.
        """
        self._optuna = _optuna()
        self._space = space
        self._seed = seed
        storage = self._optuna.storages.JournalStorage(
            self._optuna.storages.journal.JournalFileBackend(str(folder / STUDY))
        )
        self._study = self._optuna.create_study(
            storage=storage,
            study_name=_NAME,
            directions=["minimize"] * len(objectives),
            load_if_exists=True,
        )
        mine = short_hash(canonical_json([space, list(objectives), seed, identity]))
        known = self._study.user_attrs.get(_IDENTITY)
        if known not in (None, mine):
            raise TuneError(
                f"{folder}: holds the study of another search (other histories, space, policy, objectives, "
                "holdout or seed): name a new folder with --out"
            )
        self._study.set_user_attr(_IDENTITY, mine)

    @property
    def told(self) -> int:
        """How many trials have ended, well or not."""
        return sum(trial.state.is_finished() for trial in self._trials())

    def ended(self) -> list[Trial]:
        """Return the trials that have ended, by number."""
        return [_trial(trial, trial.params) for trial in self._trials() if trial.state.is_finished()]

    def ask(self, count: int) -> list[Trial]:
        """Return the next trials: first those that were proposed before a crash and never told.

        Args:
            count: How many at once, at least 1; the model learns from a batch when it is told.
        """
        open_ = [_trial(trial, trial.params) for trial in self._trials() if not trial.state.is_finished()]
        ready = [trial for trial in open_ if len(trial.point) == len(self._space.parameters)]
        for torn in open_:
            if torn not in ready:  # a crash in the middle of a proposal: draw it again
                self._study.tell(torn.number, state=self._optuna.trial.TrialState.FAIL)
        while len(ready) < count:
            self._study.sampler = self._sampler(len(self._trials()))
            trial = self._study.ask({one.field: self._distribution(one) for one in self._space.parameters})
            ready.append(_trial(trial, trial.params))
        return ready

    def tell(self, trial: Trial, values: Sequence[float] | None) -> None:
        """Tell what a trial came to; None: it is no policy, or could not be run."""
        if values is None:
            self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial.number, list(values))

    def _trials(self) -> list[Any]:
        trials: list[Any] = self._study.get_trials(deepcopy=False)
        return trials

    def _sampler(self, number: int) -> BaseSampler:
        startup = min(max(STARTUP_MIN, 2 * len(self._space.parameters)), STARTUP_MAX)
        sampler: BaseSampler = self._optuna.samplers.TPESampler(
            # Far apart, so that searches with neighbouring seeds share no draws.
            seed=(self._seed * 1_000_003 + number) % 2**32,
            n_startup_trials=startup,
            constant_liar=True,  # a batch must not propose the same point eight times
        )
        return sampler

    def _distribution(self, one: Parameter) -> BaseDistribution:
        kinds = self._optuna.distributions
        found: BaseDistribution
        if one.values:
            found = kinds.CategoricalDistribution(one.values)
        elif one.whole:
            found = kinds.IntDistribution(round(one.low), round(one.high), log=one.log)
        else:
            found = kinds.FloatDistribution(one.low, one.high, log=one.log)
        return found


def _trial(trial: Any, params: Mapping[str, Any]) -> Trial:
    """Return our record of Optuna's trial, rounded as `Parameter.at` does."""
    point = {field: rounded(value) if isinstance(value, float) else value for field, value in params.items()}
    return Trial(trial.number, point)


def _optuna() -> Any:
    """Import Optuna, or say what to install."""
    try:
        import optuna
    except ImportError as error:
        raise TuneError(
            f"tune needs the Python package {error.name!r}: pip install 'flyball[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
