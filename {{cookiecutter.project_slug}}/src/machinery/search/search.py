"""Search the hyperparameters of a candidate, and put the best ones on a branch.

A trial is a DVC experiment that runs the candidate's `train` stage, scored on its held-out folds;
the test table is never read. The search keeps no other state than the experiments of the commit, so
that an interrupted one continues where it stopped.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
    """One experiment: its searched hyperparameters, and the score of each fold."""

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
        """Read the ranges and the trials of this commit."""
        train = sections.load(Train)
        self.candidate = f"{feature_set}-{model}"
        if self.candidate not in train.candidates():
            names = ", ".join(train.candidates())
            raise UserError(f"{self.candidate} is not a candidate; {PARAMS} has {names}")
        self._space = sections.load(sections.Search).root.get(model, {})
        if not self._space:
            raise UserError(f"{PARAMS}: search.{model} is missing; give it ranges to search")
        if changed := git.changes(untracked=False):
            raise UserError(f"{changed[0]} is not committed; commit, since trials start from there")
        self.headline = sections.load(Select).headline
        self.sign = 1 if metrics.greater_is_better(self.headline) else -1
        self._model, self._seed = model, train.seed
        self._current = train.hyperparameters[model]
        commit = git.resolve("HEAD")
        self._refs = f"refs/exps/{commit[:2]}/{commit[2:]}/"
        self.trials = [self._read(name) for name in self._names()]

    @property
    def best(self) -> Trial:
        """The trial with the best mean of the headline metric, the earliest of equals."""
        return max(self.trials, key=lambda trial: self.sign * trial.mean)

    def run(self, minutes: float) -> Iterator[Trial]:
        """Run trials until the time is over, starting with the values in params.yaml."""
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
                values = {name: _rounded(value) for name, value in suggested.items()}
            else:
                values = {n: self._current[n] for n in self._space if n in self._current}
            trial = self._try(values)
            self._tell(study, trial)
            self.trials.append(trial)
            yield trial

    def branch(self) -> str:
        """The branch of the best trial, for a person to review; created if it does not exist."""
        name = f"search/{self.candidate}-{self.best.commit[:7]}"
        if not git.run("branch", "--list", name):
            _dvc("exp", "branch", self.best.name, name)
        return name

    @cached_property
    def _distributions(self) -> "dict[str, BaseDistribution]":
        from optuna import distributions as optuna

        distributions: dict[str, BaseDistribution] = {}
        for name, values in self._space.items():
            if isinstance(values, list):
                distributions[name] = optuna.CategoricalDistribution(values)
                continue
            integers = isinstance(values.low, int) and isinstance(values.high, int)
            kind = optuna.IntDistribution if integers else optuna.FloatDistribution
            distributions[name] = kind(values.low, values.high, log=values.log)
        return distributions

    def _tell(self, study: Any, trial: Trial) -> None:
        """Tell the sampler of a trial, unless it is outside the ranges."""
        import optuna

        if trial.hyperparameters.keys() != self._space.keys():
            return
        with suppress(ValueError):  # outside the ranges
            study.add_trial(
                optuna.trial.create_trial(
                    params=trial.hyperparameters,
                    distributions=self._distributions,
                    value=trial.mean,
                )
            )

    def _try(self, values: Mapping[str, Any]) -> Trial:
        """Run the experiment of the next trial."""
        newest = int(self.trials[-1].name.rpartition("-")[2]) if self.trials else 0
        name = f"search-{self.candidate}-{newest + 1}"
        key = f"train.hyperparameters.{self._model}"
        options = [f"--set-param=++{key}.{n}={json.dumps(value)}" for n, value in values.items()]
        _dvc("exp", "run", "--temp", "--name", name, *options, f"train@{self.candidate}")
        return self._read(name)

    def _names(self) -> list[str]:
        """The names of the candidate's trials, the first one first."""
        order, form = "--sort=version:refname", "--format=%(refname:lstrip=4)"
        refs = git.run("for-each-ref", order, form, self._refs)
        return re.findall(rf"(?m)^search-{re.escape(self.candidate)}-\d+$", refs)

    def _read(self, name: str) -> Trial:
        revision = self._refs + name
        document = parse_yaml(git.file(revision, str(PARAMS)) or b"", f"{name}:{PARAMS}")
        values = document["train"]["hyperparameters"][self._model]
        path = str(CANDIDATES / f"{self.candidate}.json")
        report = read_json(storage.cache_path(read(revision).graph.outs[path].hash))
        scores = [fold[self.headline] for fold in report["folds"]]
        if None in scores:
            raise UserError(f"{name} has a fold without {self.headline}; use fewer train.folds")
        searched = {key: values[key] for key in self._space if key in values}
        return Trial(name, git.resolve(revision), searched, scores)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _dvc(*words: str) -> None:
    """Run DVC. Raises UserError with the last lines that it, or the stage, printed."""
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UserError(f"dvc {words[0]} {words[1]} fails: {' '.join(lines[-4:])}")
