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

from machinery.pipeline import paths
from machinery.pipeline.data.columns import Arrays
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, first_line, read_json
from machinery.pipeline.model import examples
from machinery.pipeline.model.examples import Examples
from machinery.pipeline.model.scoring import Scorer, version_of

from .rows import Columns
from .settings import Settings

ABOUT = (paths.METRICS, paths.GATE, paths.DATA_QUALITY, paths.VERSION)
WATCHED = (paths.MODEL, paths.MODEL_INFO, paths.EXAMPLES, paths.CONTRACT, *ABOUT)
TOLD = ("task", "target", "classes", "candidate", "features", "contract_version", "coverage")
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A model whose answers were checked, and what `/model` says of it.

    It reads nothing more from its folder, whose files may be replaced.
    """

    scorer: Scorer
    version: str
    examples: Examples
    background: Arrays  # features of the examples
    trained_until: float | None  # seconds since 1970
    about: dict[str, Any]

    def features(self, columns: Columns) -> Arrays:
        """The features of rows; a number too large is infinite, as in training."""
        scorer = self.scorer
        with np.errstate(all="ignore"):
            return scorer.features(scorer.arrays({name: columns[name] for name in scorer.columns}))


class Place:
    """A folder and the model served from it; `look` swaps in a new one, if its answers are right.

    Requests under way keep the model that they began with.

    Raises:
        UserError: when there is none, or it does not reproduce its stored examples.
    """

    def __init__(
        self,
        features: ModuleType,
        contract: Contract,
        settings: Settings,
        models: Counter,
        role: Literal["champion", "shadow"],
        folder: Path,
    ) -> None:
        """Open the model of the folder, a checkout or an unpacked version.

        Args:
            features: the module that makes the features.
            contract: that requests are read by.
            settings: of the service.
            models: counts each later model as `swapped` or `refused`.
            role: of the model.
            folder: of the model.
        """
        self._features, self._contract, self._settings = features, contract, settings
        self._models, self._role, self._folder = models, role, folder
        self._seen = self._tried = self._signature()
        self.model = self._open(settings.commit if role == "champion" else None)

    async def look(self) -> None:
        """Swap in a new model, once its files have not changed since the last look."""
        now = self._signature()
        rests, self._seen = now == self._seen, now
        if not rests or now == self._tried:
            return
        self._tried = now
        try:
            self.model = await asyncio.to_thread(self._open)
        except UserError as error:
            fields = {"folder": str(self._folder), "reason": str(error)}
            LOGGER.error("model refused", extra={"fields": fields})
            self._models.labels(self._role, "refused").inc()
        else:
            fields = {"folder": str(self._folder), "model_version": self.model.version}
            LOGGER.info("model swapped", extra={"fields": fields})
            self._models.labels(self._role, "swapped").inc()

    def _signature(self) -> dict[Path, tuple[int, int, int]]:
        """What changes when one of the model's files does."""
        stamps = {}
        for path in WATCHED:
            with suppress(OSError):  # some files are optional, and any may be removed meanwhile
                file = (self._folder / path).stat()
                stamps[path] = file.st_mtime_ns, file.st_size, file.st_ino
        return stamps

    def _open(self, commit: str | None = None) -> Served:
        folder = self._folder
        try:
            scorer = Scorer(self._features, folder, self._settings.threads)
            if _request_schema(scorer.contract) != _request_schema(self._contract):
                raise UserError(
                    f"{folder / paths.CONTRACT} is another contract than requests are read by; "
                    "restart the service to serve its model"
                )
            stored = examples.read(folder)
            examples.check(scorer, stored)
            rows = stored.rows[: stored.real]
            columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
            background = scorer.features(scorer.arrays(columns))
            until = scorer.info["trained_on"].get("until")
            moment = until and datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()
            version = version_of(folder, scorer.info, self._settings.version)
            about = _about(scorer, folder, commit)
            return Served(scorer, version, stored, background, moment, about)
        except UserError:
            raise
        except Exception as error:  # whatever a damaged file does, the old model goes on
            why = f"{type(error).__name__}: {first_line(error)}"
            raise UserError(f"{folder} holds no whole model ({why}); fetch it again") from error


def _about(scorer: Scorer, folder: Path, commit: str | None) -> dict[str, Any]:
    info = scorer.info
    files = [read_json(folder / path) if (folder / path).is_file() else None for path in ABOUT]
    metrics, gate, quality, release = files
    release = release or {"commit": commit}
    return {
        **{name: release.get(name) for name in ("commit", "date")},
        "sha256": info["sha256"],
        **{name: info[name] for name in TOLD},
        "positive": info.get("positive"),
        "decision_threshold": info["threshold"],
        "data_window": info["trained_on"],
        "metrics": metrics,
        "gate": gate,
        "freshness": (quality or {}).get("freshness"),
    }


def _request_schema(contract: Contract) -> Any:
    """What a contract says of the rows of requests, answers and the log."""
    columns = {name: contract.columns[name] for name in [*contract.known_before(), contract.target]}
    kinds = {
        name: (each.type, each.allowed, each.nullable, each.personal)
        for name, each in columns.items()
    }
    return contract.task, contract.target, kinds
