"""search: ranges of hyperparameters in; trials as experiments of DVC, the best as a branch, out.

A trial is an experiment that runs one candidate's `train` stage, scored on its held-out folds: the
test table is never read. Experiments of the same commit are all that a search remembers, so one
that was interrupted goes on where it stopped.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from machinery.pipeline import params as sections
from machinery.pipeline.files import UserError, parse_yaml, read_json
from machinery.pipeline.params import Select, Train
from machinery.pipeline.paths import CANDIDATES, PARAMS
from machinery.pipeline.statistics import metrics
from machinery.versions import git, storage
from machinery.versions.versions import read

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 6  # significant, as params.yaml shows them


class Trial(NamedTuple):
    """One experiment: its name, its hyperparameters that are searched, and the folds' scores."""

    name: str
    commit: str
    hyperparameters: dict[str, Any]
    scores: list[float]

    @property
    def mean(self) -> float:
        """The mean score of the folds."""
        return fmean(self.scores)

    def gain_over(self, other: "Trial") -> tuple[float, float]:
        """The mean difference of the folds' scores, and its standard error."""
        differences = [a - b for a, b in zip(self.scores, other.scores, strict=True)]
        return fmean(differences), stdev(differences) / len(differences) ** 0.5


class Search:
    """The search for one candidate's hyperparameters, from the commit that is checked out.

    Raises:
        UserError: for a candidate without ranges in params.yaml, or uncommitted changes.
    """

    def __init__(self, model: str, feature_set: str) -> None:
        """Read the ranges and what was tried so far."""
        train = sections.load(Train)
        if model not in train.models or feature_set not in train.feature_sets:
            known = ", ".join(train.candidates())
            raise UserError(f"{feature_set}-{model} is not a candidate; {PARAMS} has {known}")
        space = sections.load(sections.Search).root.get(model)
        if not space:
            raise UserError(f"{PARAMS}: search.{model} is missing; give it ranges to search")
        if changed := git.changes(untracked=False):
            raise UserError(f"{changed[0]} is not committed; commit, since trials start from there")
        self.stage, self.candidate = f"train@{feature_set}-{model}", f"{feature_set}-{model}"
        self.headline = sections.load(Select).headline
        self.sign = 1 if metrics.greater_is_better(self.headline) else -1
        self._key, self._seed = f"train.hyperparameters.{model}", train.seed
        self._now = train.hyperparameters[model]
        self._space = space
        commit = git.resolve("HEAD")
        self._refs = f"refs/exps/{commit[:2]}/{commit[2:]}/"
        self.trials = [self._read(name) for name in self._names()]

    @property
    def best(self) -> Trial:
        """The trial with the best mean of the headline metric, the earliest of equals."""
        return max(self.trials, key=lambda trial: self.sign * trial.mean)

    def run(self, minutes: float) -> Iterator[Trial]:
        """Try hyperparameters until the time is over: first those of params.yaml."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        end = time.monotonic() + minutes * 60
        sampler = optuna.samplers.TPESampler(seed=self._seed + len(self.trials))
        study = optuna.create_study(
            sampler=sampler, direction="maximize" if self.sign > 0 else "minimize"
        )
        for trial in self.trials:
            self._tell(study, trial)
        while time.monotonic() < end:
            if self.trials:
                suggested = study.ask(self._distributions).params
                chosen = {name: _rounded(value) for name, value in suggested.items()}
            else:
                chosen = {name: self._now[name] for name in self._space if name in self._now}
            trial = self._try(chosen)
            self._tell(study, trial)
            self.trials.append(trial)
            yield trial

    def branch(self) -> str:
        """The branch of the best trial's commit, for a person to review; made where it is not."""
        name = f"search/{self.candidate}-{self.best.commit[:7]}"
        if not git.run("branch", "--list", name):
            _dvc("exp", "branch", self.best.name, name)
        return name

    @cached_property
    def _distributions(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution as Choice
        from optuna.distributions import FloatDistribution as Float
        from optuna.distributions import IntDistribution as Whole

        found: dict[str, BaseDistribution] = {}
        for name, given in self._space.items():
            if isinstance(given, list):
                found[name] = Choice(given)
            elif isinstance(given.low, int) and isinstance(given.high, int):
                found[name] = Whole(given.low, given.high, log=given.log)
            else:
                found[name] = Float(given.low, given.high, log=given.log)
        return found

    def _tell(self, study: Any, trial: Trial) -> None:
        """Let the sampler learn of a trial, where it is within the ranges."""
        import optuna

        if trial.hyperparameters.keys() != self._space.keys():
            return
        try:
            study.add_trial(
                optuna.trial.create_trial(
                    params=trial.hyperparameters,
                    distributions=self._distributions,
                    value=trial.mean,
                )
            )
        except ValueError:  # outside of the ranges
            return

    def _try(self, chosen: Mapping[str, Any]) -> Trial:
        numbers = [int(trial.name.rpartition("-")[2]) for trial in self.trials]
        name = f"search-{self.candidate}-{max(numbers, default=0) + 1}"
        values = [f"++{self._key}.{each}={json.dumps(value)}" for each, value in chosen.items()]
        options = [word for value in values for word in ("-S", value)]
        _dvc("exp", "run", "--temp", "--name", name, *options, self.stage)
        return self._read(name)

    def _names(self) -> list[str]:
        listed = git.run("for-each-ref", "--format=%(refname:lstrip=4)", self._refs).split()
        mine = re.compile(rf"search-{re.escape(self.candidate)}-(\d+)")
        numbered = {int(match[1]): name for name in listed if (match := mine.fullmatch(name))}
        return [numbered[number] for number in sorted(numbered)]

    def _read(self, name: str) -> Trial:
        revision = self._refs + name
        document = parse_yaml(git.file(revision, str(PARAMS)) or b"", f"{name}:{PARAMS}")
        given = document["train"]["hyperparameters"][self.candidate.rpartition("-")[2]]
        path = str(CANDIDATES / f"{self.candidate}.json")
        report = read_json(storage.cache_path(read(revision).graph.outs[path].hash))
        scores = [fold[self.headline] for fold in report["folds"]]
        if None in scores:
            raise UserError(f"{name} has a fold without {self.headline}; use fewer train.folds")
        chosen = {each: given[each] for each in self._space if each in given}
        return Trial(name, git.resolve(revision), chosen, scores)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _dvc(*words: str) -> None:
    """Run DVC. Raises UserError with the last sentence that it, or the stage, printed."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UserError(f"dvc {words[0]} {words[1]} fails: {' '.join(lines[-4:])}")
