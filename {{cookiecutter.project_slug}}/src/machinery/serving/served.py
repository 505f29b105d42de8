"""served: a model's folder in; the model that answers, watched and swapped without a pause, out."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import structlog

from machinery.pipeline.model import examples
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.model.examples import Examples
from machinery.pipeline.files import UserError, first_line, read_json
from machinery.pipeline.paths import CONTRACT, DATA_QUALITY, GATE, METRICS, VERSION
from machinery.pipeline.model.scoring import Scorer, version_of
from .model_files import Kept, Signature, signature


class WrongAnswersError(UserError):
    """A model that does not answer its stored examples as the pipeline did."""


@dataclass(frozen=True)
class Served:
    """A model whose answers were checked, and what `/model` tells of it.

    It reads nothing more of its folder, where another model may come to lie.
    """

    scorer: Scorer
    version: str
    examples: Examples
    background: dict[str, np.ndarray]
    about: dict[str, Any]
    trained_until: float | None
    opened: float = field(default_factory=time.time)

    def check(self) -> None:
        """Answer the stored examples once more.

        Raises:
            UserError: naming the first that is not answered as stored.
        """
        examples.check(self.scorer, self.examples)


def open_model(
    features: ModuleType,
    folder: Path,
    version: str,
    threads: int = 1,
    commit: str | None = None,
) -> Served:
    """Open the model in a folder and check its answers.

    Args:
        folder: of a checkout or of an unpacked version.
        version: what to call it, with its hash, when no version.json stands in the folder.
        threads: for the model file.
        commit: that it comes from, when no version.json says so.

    Raises:
        UserError: for files that are missing or do not belong together; WrongAnswersError when
            the stored examples are answered otherwise.
    """
    scorer = Scorer(features, folder, threads)
    stored = examples.read(folder)
    try:
        examples.check(scorer, stored)
    except UserError as error:
        raise WrongAnswersError(str(error)) from None
    rows = stored.rows[: stored.real]
    columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
    until = scorer.info["trained_on"].get("until")
    return Served(
        scorer=scorer,
        version=version_of(folder, scorer.info, version),
        examples=stored,
        background=scorer.features(scorer.arrays(columns)),
        about=_about(scorer, folder, commit),
        trained_until=None if until is None else _moment(until),
    )


def _about(scorer: Scorer, folder: Path, commit: str | None) -> dict[str, Any]:
    info, quality = scorer.info, _read(folder / DATA_QUALITY) or {}
    release = _read(folder / VERSION) or {"commit": commit}
    names = ("task", "target", "classes", "candidate", "features", "contract_version", "coverage")
    return {
        "commit": release.get("commit"),
        "date": release.get("date"),
        "sha256": info["sha256"],
        **{name: info[name] for name in names},
        "decision_threshold": info["threshold"],
        "data_window": info["trained_on"],
        "metrics": _read(folder / METRICS),
        "gate": _read(folder / GATE),
        "freshness": quality.get("freshness"),
    }


def _read(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Place:
    """A folder and the model served from it; `look` swaps in what is new there, if it is right.

    `model` is None while there is none that is right, and `fault` says why. A model that is swapped
    out stays with the requests that it is answering. `outcomes` counts the models found.
    """

    def __init__(
        self,
        features: ModuleType,
        folder: Path,
        version: str,
        threads: int = 1,
        contract: Contract | None = None,
        commit: str | None = None,
        kept: Kept | None = None,
    ) -> None:
        """`version` and `commit` tell of a model without version.json, the latter of the first."""
        self.folder, self.contract, self._features = folder, contract, features
        self.fault: str | None = None
        self.model: Served | None = None
        self.outcomes = {"swapped": 0, "refused": 0}
        self._version, self._threads, self._commit = version, threads, commit
        self._kept = kept or Kept()
        self._seen: Signature | None = None
        self._tried: Signature | None = None
        self._log = structlog.get_logger()

    def open(self) -> None:
        """Open the model that lies there now; if it is bad, the one that other workers answer with.

        Raises:
            UserError: when there is none; one that answers wrongly is told by `fault` instead.
        """
        self._tried = self._seen = signature(self.folder)
        kept = self._kept.model
        try:
            self.model = self._open(self.folder)
            self._keep(self._tried)
        except UserError as error:
            if kept is None and not isinstance(error, WrongAnswersError):
                raise
            self._refuse(str(error))
            if kept is not None:
                self.model, self.fault = self._open(kept), None

    async def look(self) -> None:
        """Swap in the model that lies there, once its files rest and if it is not this one."""
        found = signature(self.folder)
        rests, self._seen = found == self._seen, found
        if not rests or found == self._tried:
            return
        self._tried, self._commit = found, None
        try:
            new = await asyncio.to_thread(self._open, self.folder)
        except UserError as error:
            self._refuse(str(error))
        else:
            self._log.info("model swapped", folder=str(self.folder), model_version=new.version)
            self.model, self.fault = new, None
            self.outcomes["swapped"] += 1
            await asyncio.to_thread(self._keep, found)

    def _open(self, folder: Path) -> Served:
        try:
            new = open_model(self._features, folder, self._version, self._threads, self._commit)
        except UserError:
            raise
        except Exception as error:  # whatever a damaged file does, the old model goes on
            why = f"{type(error).__name__}: {first_line(error)}"
            raise UserError(f"{folder} holds no whole model ({why}); fetch it again") from error
        if self.contract is not None and _rows(new.scorer.contract) != _rows(self.contract):
            raise UserError(
                f"{folder / CONTRACT} is another contract than requests are read by; "
                "restart the service to serve its model"
            )
        return new

    def _keep(self, accepted: Signature) -> None:
        try:
            self._kept.keep(self.folder, accepted)
        except OSError as error:  # a full disk fails no request
            self._log.warning("model not kept for later workers", reason=first_line(error))

    def _refuse(self, reason: str) -> None:
        self._log.error("model refused", folder=str(self.folder), reason=reason)
        if self.model is None:
            self.fault = reason
        self.outcomes["refused"] += 1


def _rows(contract: Contract) -> Any:
    """What a contract says of the rows of requests, answers and the log."""
    columns = {name: contract.columns[name] for name in [*contract.known_before(), contract.target]}
    return (
        contract.task,
        contract.target,
        [(name, each.type, each.allowed, each.nullable) for name, each in columns.items()],
    )
