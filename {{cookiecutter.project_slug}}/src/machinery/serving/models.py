"""Open the model that answers requests, and watch its folder for a new one."""

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

REPORTS = (paths.METRICS, paths.GATE, paths.DATA_QUALITY, paths.VERSION)
WATCHED = (paths.MODEL, paths.MODEL_INFO, paths.EXAMPLES, paths.CONTRACT, *REPORTS)
COPIED = ("task", "target", "classes", "candidate", "features", "contract_version", "coverage")
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A model that reproduced its stored examples, and its description for `/model`.

    It is entirely in memory, so the files in its folder may be replaced.
    """

    scorer: Scorer
    version: str
    examples: Examples
    background: Arrays  # features of the examples
    trained_until: float | None  # seconds since 1970
    about: dict[str, Any]

    def features(self, columns: Columns) -> Arrays:
        """The features of rows; a number that overflows is infinite, as in training."""
        scorer = self.scorer
        with np.errstate(all="ignore"):
            return scorer.features(scorer.arrays({name: columns[name] for name in scorer.columns}))


class ModelFolder:
    """A folder and the model served from it; `poll` swaps in a new model that passes its checks.

    Requests in progress keep the model that they started with.

    Raises:
        UserError: if there is no model, or it does not reproduce its stored examples.
    """

    def __init__(
        self,
        features: ModuleType,
        contract: Contract,
        settings: Settings,
        updates: Counter,
        role: Literal["champion", "shadow"],
        folder: Path,
    ) -> None:
        """Open the model of a checkout or an unpacked version.

        `contract` is the one that requests are validated against; `updates` counts later models as
        `swapped` or `refused`.
        """
        self._features, self._contract, self._settings = features, contract, settings
        self._updates, self._role, self._folder = updates, role, folder
        self._polled = self._tried = self._signature()
        self.model = self._open(settings.commit if role == "champion" else None)

    async def poll(self) -> None:
        """Swap in a new model, once its files have not changed between two polls."""
        signature = self._signature()
        is_stable, self._polled = signature == self._polled, signature
        if not is_stable or signature == self._tried:
            return
        self._tried = signature
        fields = {"folder": str(self._folder)}
        try:
            self.model = await asyncio.to_thread(self._open)
        except UserError as error:
            LOGGER.error("model refused", extra={"fields": {**fields, "reason": str(error)}})
            self._updates.labels(self._role, "refused").inc()
        else:
            fields["model_version"] = self.model.version
            LOGGER.info("model swapped", extra={"fields": fields})
            self._updates.labels(self._role, "swapped").inc()

    def _signature(self) -> dict[Path, tuple[int, int, int]]:
        """Changes whenever one of the model's files does."""
        stamps = {}
        for path in WATCHED:
            with suppress(OSError):  # some files are optional, and any may be removed meanwhile
                file = (self._folder / path).stat()
                stamps[path] = file.st_mtime_ns, file.st_size, file.st_ino
        return stamps

    def _open(self, commit: str | None = None) -> ServedModel:
        folder = self._folder
        try:
            scorer = Scorer(self._features, folder, self._settings.threads)
            if _request_schema(scorer.contract) != _request_schema(self._contract):
                raise UserError(
                    f"{folder / paths.CONTRACT} differs from the contract that requests are "
                    "validated against; restart the service to serve its model"
                )
            stored = examples.read(folder)
            examples.check(scorer, stored)
            rows = stored.rows[: stored.real]
            columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
            until = scorer.info["trained_on"].get("until")
            return ServedModel(
                scorer,
                version=version_of(folder, scorer.info, self._settings.version),
                examples=stored,
                background=scorer.features(scorer.arrays(columns)),
                trained_until=until
                and datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp(),
                about=_about(scorer.info, folder, commit),
            )
        except UserError:
            raise
        except Exception as error:  # the old model survives any damage to the new files
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise UserError(
                f"{folder} contains no valid model ({reason}); fetch it again"
            ) from error


def _about(info: dict[str, Any], folder: Path, commit: str | None) -> dict[str, Any]:
    files = [read_json(folder / path) if (folder / path).is_file() else None for path in REPORTS]
    metrics, gate, quality, release = files
    release = release or {"commit": commit}
    return {
        **{name: release.get(name) for name in ("commit", "date")},
        "sha256": info["sha256"],
        **{name: info[name] for name in COPIED},
        "positive": info.get("positive"),
        "decision_threshold": info["threshold"],
        "data_window": info["trained_on"],
        "metrics": metrics,
        "gate": gate,
        "freshness": (quality or {}).get("freshness"),
    }


def _request_schema(contract: Contract) -> Any:
    """The part of a contract that determines requests, answers and the log."""
    columns = {name: contract.columns[name] for name in [*contract.known_before(), contract.target]}
    keys = {"type", "allowed", "nullable", "personal"}
    types = {name: column.model_dump(include=keys) for name, column in columns.items()}
    return contract.task, contract.target, types
