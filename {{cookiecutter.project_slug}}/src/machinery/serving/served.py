"""served: the model that answers, read from a folder that is watched for a new one."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, first_line, read_json
from machinery.pipeline.model import examples
from machinery.pipeline.model.examples import Examples
from machinery.pipeline.model.scoring import Scorer, version_of
from machinery.pipeline.paths import (
    CONTRACT,
    DATA_QUALITY,
    EXAMPLES,
    GATE,
    METRICS,
    MODEL,
    MODEL_INFO,
    VERSION,
)

WATCHED = (MODEL, MODEL_INFO, EXAMPLES, CONTRACT, METRICS, GATE, DATA_QUALITY, VERSION)
TOLD = ("task", "target", "classes", "candidate", "features", "contract_version", "coverage")
LOGGER = logging.getLogger(__name__)

Signature = tuple[tuple[int, int, int] | None, ...]


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

    def check(self) -> None:
        """Answer the stored examples once more.

        Raises:
            UserError: naming the first that is not answered as stored.
        """
        examples.check(self.scorer, self.examples)


class Place:
    """A folder and the model served from it; `look` swaps in a new one, if its answers are right.

    A model that is swapped out stays with the requests that it is answering.
    """

    def __init__(
        self,
        features: ModuleType,
        folder: Path,
        version: str,
        threads: int,
        contract: Contract,
        count: Callable[[str], object],
        commit: str | None = None,
    ) -> None:
        """Open the model that lies there now.

        Args:
            features: the module that makes the features.
            folder: of a checkout or of an unpacked version.
            version: what to call a model without version.json.
            threads: for the model file.
            contract: that requests are read by.
            count: is called with `swapped` or `refused` for each model that comes later.
            commit: that the first model comes from, when no version.json says so.

        Raises:
            UserError: when there is none, or it does not answer its stored examples.
        """
        self._features, self._folder, self._contract = features, folder, contract
        self._version, self._threads, self._count = version, threads, count
        self._seen = self._tried = signature(folder)
        self.model = self._open(commit)

    async def look(self) -> None:
        """Swap in the model that lies there, once its files rest and if it is not this one."""
        now = signature(self._folder)
        rests, self._seen = now == self._seen, now
        if not rests or now == self._tried:
            return
        self._tried = now
        fields = {"folder": str(self._folder)}
        try:
            self.model = await asyncio.to_thread(self._open)
        except UserError as error:
            LOGGER.error("model refused", extra={"fields": {**fields, "reason": str(error)}})
            self._count("refused")
        else:
            fields["model_version"] = self.model.version
            LOGGER.info("model swapped", extra={"fields": fields})
            self._count("swapped")

    def _open(self, commit: str | None = None) -> Served:
        folder = self._folder
        try:
            scorer = Scorer(self._features, folder, self._threads)
            stored = examples.read(folder)
            examples.check(scorer, stored)
            about = _about(scorer, folder, commit)
            version = version_of(folder, scorer.info, self._version)
        except UserError:
            raise
        except Exception as error:  # whatever a damaged file does, the old model goes on
            why = f"{type(error).__name__}: {first_line(error)}"
            raise UserError(f"{folder} holds no whole model ({why}); fetch it again") from error
        if _request_schema(scorer.contract) != _request_schema(self._contract):
            raise UserError(
                f"{folder / CONTRACT} is another contract than requests are read by; "
                "restart the service to serve its model"
            )
        rows = stored.rows[: stored.real]
        columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
        background = scorer.features(scorer.arrays(columns))
        until = scorer.info["trained_on"].get("until")
        moment = until and datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()
        return Served(scorer, version, stored, background, about, moment)


def _about(scorer: Scorer, folder: Path, commit: str | None) -> dict[str, Any]:
    info, quality = scorer.info, _read(folder / DATA_QUALITY) or {}
    release = _read(folder / VERSION) or {"commit": commit}
    return {
        "commit": release.get("commit"),
        "date": release.get("date"),
        "sha256": info["sha256"],
        **{name: info[name] for name in TOLD},
        "decision_threshold": info["threshold"],
        "data_window": info["trained_on"],
        "metrics": _read(folder / METRICS),
        "gate": _read(folder / GATE),
        "freshness": quality.get("freshness"),
    }


def _read(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def signature(folder: Path) -> Signature:
    """What changes when one of the model's files does: their times, sizes and inodes."""
    return tuple(_stamp(folder / path) for path in WATCHED)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        file = path.stat()
    except OSError:
        return None
    return file.st_mtime_ns, file.st_size, file.st_ino


def _request_schema(contract: Contract) -> Any:
    """What a contract says of the rows of requests, answers and the log."""
    columns = {name: contract.columns[name] for name in [*contract.known_before(), contract.target]}
    kinds = [(name, each.type, each.allowed, each.nullable) for name, each in columns.items()]
    return contract.task, contract.target, kinds
