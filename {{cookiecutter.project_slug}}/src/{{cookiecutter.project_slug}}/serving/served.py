"""served: a model's folder in; the model that answers, watched and swapped without a pause, out."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from .. import examples
from ..contract import Contract
from ..files import UserError, read_json
from ..paths import CONTRACT, DATA_QUALITY, EXAMPLES, GATE, METRICS, MODEL, MODEL_INFO
from ..scoring import Scorer

VERSION = Path("version.json")  # written when a version is packed for distribution
NEEDED = (MODEL, MODEL_INFO, EXAMPLES, CONTRACT)
WATCHED = (*NEEDED, METRICS, GATE, DATA_QUALITY, VERSION)
SHORT = 8  # characters of a hash

Signature = tuple[tuple[int, int, int] | None, ...]


class WrongAnswersError(UserError):
    """A model that does not answer its stored examples as the pipeline did."""


@dataclass(frozen=True)
class Served:
    """A model whose answers were checked, and what `/model` tells of it."""

    scorer: Scorer
    version: str
    folder: Path
    background: dict[str, np.ndarray]
    about: dict[str, Any]
    trained_until: float | None
    opened: float = field(default_factory=time.time)

    def check(self) -> None:
        """Answer the stored examples once more.

        Raises:
            UserError: naming the first that is not answered as stored.
        """
        examples.check(self.scorer, self.folder)


def open_model(folder: Path, version: str, threads: int = 1) -> Served:
    """Open the model in a folder and check its answers.

    Args:
        folder: of a checkout or of an unpacked version.
        version: what to call it when no version.json stands in the folder.
        threads: for the model file.

    Raises:
        UserError: for files that are missing or do not belong together; WrongAnswersError when
            the stored examples are answered otherwise.
    """
    scorer = Scorer(folder, threads)
    try:
        rows = examples.check(scorer, folder)
    except UserError as error:
        raise WrongAnswersError(str(error)) from None
    columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
    release = _read(folder / VERSION) or {}
    digest = scorer.info["sha256"]
    name = str(release.get("version") or version)
    name = f"{name}-{digest[:SHORT]}" if name == "unreleased" else name
    until = scorer.info["trained_on"].get("until")
    return Served(
        scorer=scorer,
        version=name,
        folder=folder,
        background=scorer.features(scorer.arrays(columns)),
        about=_about(scorer, folder, release),
        trained_until=None if until is None else _moment(until),
    )


def _about(scorer: Scorer, folder: Path, release: dict[str, Any]) -> dict[str, Any]:
    info, quality = scorer.info, _read(folder / DATA_QUALITY) or {}
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


def signature(folder: Path) -> Signature:
    """What changes when one of the model's files does: their times, sizes and places on disk."""
    return tuple(_stamp(folder / path) for path in WATCHED)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Place:
    """A folder and the model served from it; `look` swaps in what is new there, if it is right.

    `model` is None while there is none that is right, and `fault` says why. A model that is swapped
    out stays with the requests that it is answering.
    """

    def __init__(
        self,
        folder: Path,
        version: str,
        threads: int = 1,
        contract: Contract | None = None,
        watch: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """`watch` is told of each model: "swapped" or "refused"."""
        self.folder, self.contract = folder, contract
        self.fault: str | None = None
        self.model: Served | None = None
        self._version, self._threads, self._watch = version, threads, watch
        self._seen: Signature | None = None
        self._tried: Signature | None = None
        self._log = structlog.get_logger()

    def open(self) -> None:
        """Open the model that lies there now.

        Raises:
            UserError: when there is none; one that answers wrongly is told by `fault` instead.
        """
        self._tried = self._seen = signature(self.folder)
        try:
            self.model = self._open()
        except WrongAnswersError as error:
            self.fault = str(error)
            self._log.error("model refused", folder=str(self.folder), reason=self.fault)
            self._watch("refused")

    async def look(self) -> None:
        """Swap in the model that lies there, once its files rest and if it is not this one."""
        found = signature(self.folder)
        rests, self._seen = found == self._seen, found
        if not rests or found == self._tried:
            return
        self._tried = found
        try:
            new = await asyncio.to_thread(self._open)
        except UserError as error:
            self._refuse(str(error))
        except Exception as error:  # whatever a damaged file does, the old model goes on
            self._refuse(f"{type(error).__name__}: {error}")
        else:
            self._log.info("model swapped", folder=str(self.folder), model_version=new.version)
            self.model, self.fault = new, None
            self._watch("swapped")

    def _open(self) -> Served:
        new = open_model(self.folder, self._version, self._threads)
        if self.contract is not None and _rows(new.scorer.contract) != _rows(self.contract):
            raise UserError(
                f"{self.folder / CONTRACT} is another contract than requests are read by; "
                "restart the service to serve its model"
            )
        return new

    def _refuse(self, reason: str) -> None:
        self._log.error("model refused", folder=str(self.folder), reason=reason)
        if self.model is None:
            self.fault = reason
        self._watch("refused")


def _rows(contract: Contract) -> Any:
    """What a contract says of the rows of requests, answers and the log."""
    columns = {name: contract.columns[name] for name in [*contract.known_before(), contract.target]}
    return (
        contract.task,
        contract.target,
        [(name, each.type, each.allowed, each.nullable) for name, each in columns.items()],
    )
