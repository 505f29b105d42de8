"""served: the model that answers, read from a folder that is watched for a new one."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from prometheus_client import Counter

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

from .settings import Settings

WATCHED = (MODEL, MODEL_INFO, EXAMPLES, CONTRACT, METRICS, GATE, DATA_QUALITY, VERSION)
TOLD = ("task", "target", "classes", "candidate", "features", "contract_version", "coverage")
LOGGER = logging.getLogger(__name__)

Signature = list[tuple[Path, int, int, int]]


@dataclass(frozen=True)
class Served:
    """A model whose answers were checked, and what `/model` says of it.

    It reads nothing more from its folder, whose files may be replaced.
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

    Requests under way keep the model that they began with.
    """

    def __init__(
        self,
        role: Literal["champion", "shadow"],
        folder: Path,
        features: ModuleType,
        contract: Contract,
        settings: Settings,
        models: Counter,
    ) -> None:
        """Open the model of the folder, a checkout or an unpacked version.

        Args:
            role: of the model.
            folder: of the model.
            features: the module that makes the features.
            contract: that requests are read by.
            settings: of the service.
            models: counts each later model as `swapped` or `refused`.

        Raises:
            UserError: when there is none, or it does not reproduce its stored examples.
        """
        self._role, self._folder, self._features = role, folder, features
        self._contract, self._settings, self._models = contract, settings, models
        self._seen = self._tried = signature(folder)
        self.model = self._open(settings.commit if role == "champion" else None)

    async def look(self) -> None:
        """Swap in a new model, once its files have not changed since the last look."""
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
            self._models.labels(self._role, "refused").inc()
        else:
            fields["model_version"] = self.model.version
            LOGGER.info("model swapped", extra={"fields": fields})
            self._models.labels(self._role, "swapped").inc()

    def _open(self, commit: str | None = None) -> Served:
        folder = self._folder
        try:
            scorer = Scorer(self._features, folder, self._settings.threads)
            stored = examples.read(folder)
            examples.check(scorer, stored)
            about = _about(scorer, folder, commit)
            version = version_of(folder, scorer.info, self._settings.version)
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
    stamps = []
    for path in WATCHED:
        with suppress(OSError):  # some files are optional, and any may be removed meanwhile
            file = (folder / path).stat()
            stamps.append((path, file.st_mtime_ns, file.st_size, file.st_ino))
    return stamps


def _request_schema(contract: Contract) -> Any:
    """What a contract says of the rows of requests, answers and the log."""
    columns = {name: contract.columns[name] for name in [*contract.known_before(), contract.target]}
    kinds = [(name, each.type, each.allowed, each.nullable) for name, each in columns.items()]
    return contract.task, contract.target, kinds
