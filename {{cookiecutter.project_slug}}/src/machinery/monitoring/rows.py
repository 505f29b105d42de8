"""Read the folder of a prediction log into windows of data time.

The log is read once, file by file. Each window keeps the predictions of all rows, and a sample of
the rows with all their columns. Whatever cannot be used is counted in `faults`.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from machinery.pipeline.compute import ParallelMap
from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.data.contract import Contract, Range
from machinery.pipeline.files import UserError
from machinery.serving import log_files

BASE = ("request_id", "row", "time", "role", "model_version", *log_files.OUTCOME)
CHAMPION = "champion"
MAX_AHEAD = timedelta(days=366)  # from an answer to the data time of its row
UNITS = {"day": "datetime64[D]", "week": "datetime64[W]", "month": "datetime64[M]"}
MONDAY = np.timedelta64(3, "D")  # NumPy's weeks begin on Thursdays


@dataclass(frozen=True)
class Window:
    """A span of data time.

    `rows` has every prediction: `at`, `role`, `model_version`, `target` (a class code or value, NaN
    without an outcome), the prediction under the contract's names, and `raw_*` columns to slice and
    group by. `sample` has a sample of the champion's, with all their `raw_*` and `feature_*`.
    """

    name: str  # its first day, or its month
    start: datetime
    end: datetime
    rows: pd.DataFrame
    sample: pd.DataFrame


class Reader:
    """Reads a log into windows; `faults` counts what it could not use.

    `logged` is when the newest row was answered.
    """

    def __init__(
        self, contract: Contract, window: str, sample_rows: int, columns: list[str]
    ) -> None:
        """Rows keep the raw `columns`; a window's sample has at most `sample_rows` rows."""
        self.faults: Counter[str] = Counter()
        self.logged = datetime.min
        self._contract, self._window, self._sample_rows = contract, window, sample_rows
        names = dict.fromkeys(columns)  # the group may be a slice column, too
        self._columns = [f"raw_{name}" for name in names if name in contract.known_before()]
        predictions = [f"probability_{name}" for name in contract.class_names] or ["prediction"]
        self._predictions = {name: contract.added(name) for name in predictions}
        self._rows: dict[pd.Timestamp, list[pd.DataFrame]] = defaultdict(list)
        self._samples: dict[pd.Timestamp, pd.DataFrame] = {}
        self._times: list[pd.Timestamp] = []  # the first and last of each file, in the span or not

    def read(
        self, folder: Path, start: datetime | None, end: datetime | None, spread: ParallelMap
    ) -> list[Window]:
        """The windows of the rows from `start` on and before `end`, oldest first.

        Raises:
            UserError: when there are none.
        """
        outcomes = log_files.newest_outcomes(folder)
        damaged, matched = partial(self._count, "lines cannot be read"), 0
        for logged in log_files.stream(folder, damaged, spread):
            table = log_files.with_outcomes(logged, outcomes)
            champion = table["role"].to_numpy() == CHAMPION
            matched += int(np.sum(table["outcome_time"].is_valid().to_numpy() & champion))
            if (typed := self._typed(table)) is not None:
                self._add(typed, start or datetime.min, end or datetime.max)
        if outcomes is not None:
            repeats = int((outcomes["times"].to_numpy() - 1).sum())
            self._count("outcomes are of a request that the log lacks", len(outcomes) - matched)
            self._count("outcomes were given again; the newest counts", repeats)
        if not self._samples:
            times = f" (it covers {min(self._times)} to {max(self._times)})" if self._times else ""
            faults = "".join(f"; {count} {fault}" for fault, count in self.faults.items())
            fault = f"{folder} has no answers of a champion in the span{times}"
            raise UserError(f"{fault}; check the folder's name, --from and --to{faults}")
        firsts, form = sorted(self._samples), "%Y-%m" if self._window == "month" else "%Y-%m-%d"
        ends = _window_starts(np.array(firsts, "datetime64[us]"), self._window, later=1)
        return [
            Window(
                first.strftime(form),
                first.to_pydatetime(),
                following,
                pd.concat(self._rows.pop(first), ignore_index=True),
                self._samples[first].reset_index(drop=True),
            )
            for first, following in zip(firsts, ends.astype(datetime), strict=True)
        ]

    def _count(self, fault: str, count: int) -> None:
        if count > 0:
            self.faults[fault] += count

    def _typed(self, table: pa.Table) -> pa.Table | None:
        """The table with raw columns as the contract types them; None for another contract."""
        names = [name for name in table.column_names if name.startswith("feature_")]
        names += [*BASE, *self._predictions]
        raw = {f"raw_{name}": name for name in self._contract.known_before()}
        try:
            columns = {name: table[name] for name in names}
            for name, column in raw.items():
                kind = arrow_type(self._contract.columns[column].type)
                exists = name in table.column_names
                columns[name] = table[name].cast(kind) if exists else pa.nulls(len(table), kind)
        except (KeyError, pa.ArrowException):
            self._count("rows are of another contract", len(table))
            return None
        return pa.table(columns)

    def _add(self, table: pa.Table, start: datetime, end: datetime) -> None:
        rows = table.select([*BASE, *self._columns]).to_pandas()
        logged = rows["time"].dt.tz_localize(None)
        self.logged = max(self.logged, logged.max().to_pydatetime())
        early = rows["outcome_time"] < rows["time"]
        self._count("outcomes are dated before their answer", int(early.sum()))
        rows["target"] = self._targets(rows["outcome"])
        time = f"raw_{self._contract.time}"
        times = table[time].to_pandas() if time in table.column_names else logged
        rows["at"] = times.astype("datetime64[us]")
        for name, added in self._predictions.items():
            rows[added] = table[name].to_pandas()
        timed, late = rows["at"].notna(), rows["at"] > logged + MAX_AHEAD
        predictions = rows[[*self._predictions.values()]].astype(np.float64)
        finite = np.isfinite(predictions).all(axis=1)
        self._count("rows have no time", int((~timed).sum()))
        self._count("rows are dated more than a year ahead", int(late.sum()))
        self._count("rows have no finite prediction", int((timed & ~finite).sum()))
        rows = rows[timed & ~late & finite]
        if not len(rows):
            return
        self._times += [rows["at"].min(), rows["at"].max()]
        rows = rows[rows["at"].between(start, end, inclusive="left")]
        rows = rows.assign(draw=pd.util.hash_pandas_object(rows[log_files.KEY], index=False))
        rows = rows.drop(columns=[*log_files.KEY, "time", *log_files.OUTCOME])
        for first, part in rows.groupby(_window_starts(rows["at"].to_numpy(), self._window)):
            window = pd.Timestamp(str(first))
            self._rows[window].append(part)
            self._draw(window, part[part["role"] == CHAMPION], table)

    def _draw(self, window: pd.Timestamp, rows: pd.DataFrame, table: pa.Table) -> None:
        """Add rows to the sample of a window, which has those with the smallest keys."""
        sample = self._samples.get(window)
        drawn = rows.nsmallest(self._sample_rows, "draw")
        if sample is not None and len(sample) == self._sample_rows:
            drawn = drawn[drawn["draw"] <= sample["draw"].max()]
        if drawn.empty:
            return
        names = [name for name in table.column_names if name.startswith(("raw_", "feature_"))]
        values = table.select(names).take(pa.array(drawn.index)).to_pandas().set_index(drawn.index)
        drawn = drawn.drop(columns=self._columns).join(values)
        sample = pd.concat([sample, drawn], ignore_index=True)
        self._samples[window] = sample.nsmallest(self._sample_rows, "draw")

    def _targets(self, outcomes: "pd.Series[Any]") -> np.ndarray:
        """Class codes or values; NaN without an outcome, or where the target cannot have it."""
        contract = self._contract
        if contract.task == "regression":
            targets = pd.to_numeric(outcomes, errors="coerce")
        else:  # the log may have a class by its name, see log_files
            codes = {value: code for code, value in enumerate(contract.classes)}
            codes |= {name: code for code, name in enumerate(contract.class_names)}
            targets = outcomes.map(lambda value: codes.get(value, np.nan), na_action="ignore")
        with np.errstate(over="ignore"):
            targets = targets.where(np.isfinite(targets.astype(np.float32)))
        allowed = contract.columns[contract.target].allowed
        if isinstance(allowed, Range):
            targets = targets.where(targets == targets.clip(allowed.min, allowed.max))
        wrong = int((outcomes.notna() & targets.isna()).sum())
        self._count(f"outcomes are no value of {contract.target}", wrong)
        return targets.to_numpy(dtype=np.float64)


def _window_starts(times: np.ndarray, window: str, later: int = 0) -> np.ndarray:
    """The start of each time's window, or of the window so many `later`; weeks start on Monday."""
    shift = MONDAY if window == "week" else np.timedelta64(0, "D")
    return ((times + shift).astype(UNITS[window]) + later).astype("datetime64[us]") - shift
