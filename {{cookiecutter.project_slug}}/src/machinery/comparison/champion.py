"""champion: a side with a model and the challenger's test rows in; its predictions of them out.

A champion is scored on exactly the challenger's rows. Where features are still made as they were,
its model file reads today's; else its own code makes them, from today's test table. Stages meet
only in files, so that the code of old runs beside the code of today without knowing of it.
"""

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.model.model_file import DTYPES, Model
from machinery.pipeline.paths import CONTRACT, FEATURES, MODEL, MODEL_INFO, PREDICTIONS, TEST, TEST_FEATURES, TRAIN
from machinery.versions import git
from machinery.versions.graph import Stage
from .rows import Rows, array, read
from .side import Side

MINUTES = 60  # that making features of the test rows may take
Predictions = NDArray[np.float32]


def score(champion: Side, challenger: Side, rows: Rows) -> Predictions:
    """The champion's predictions of the challenger's test rows, in their order.

    Raises UserError, in a sentence, when the two cannot be compared.
    """
    require_same_question(champion, rows.contract)
    if same_model(champion, challenger):
        return rows.prediction
    model = Model(champion.file(MODEL))
    if same_features(champion, challenger):
        return _predict(model, challenger.file(TEST_FEATURES), rows)
    absent = [name for name in _columns(champion) if name not in rows.contract.columns]
    with TemporaryDirectory() as folder:
        made = _featurized(champion, challenger.file(TEST), absent, Path(folder))
        return _predict(model, made, rows)


def require_same_question(champion: Side, contract: Contract) -> None:
    """Refuse a champion that predicts something else, or to which a column means something else."""
    here = {
        "task": contract.task,
        "target": contract.target,
        "classes": contract.class_names,
        "contract_version": contract.version,
    }
    for name, now in here.items():
        _require_same(name, champion.document(MODEL_INFO).get(name), now)
    before = champion.document(CONTRACT).get("columns", {})
    for name in [contract.target, *_read_by(champion)]:
        if name in before and (column := contract.columns.get(name)):
            for what, now in {"type": column.type, "unit": column.unit}.items():
                _require_same(f"{what} of {name}", before[name].get(what), now)


def _require_same(what: str, was: Any, now: Any) -> None:
    if was != now:
        both = f"the champion's is {was}, the challenger's is {now}"
        raise UserError(f"the {what} is not the same: {both}")


def _read_by(side: Side) -> list[str]:
    """The columns that the model's features are made from; all, where no catalogue tells."""
    if FEATURES not in side.documents:
        return _columns(side)
    used = side.fact(MODEL_INFO, "features")
    listed = [each for each in side.document(FEATURES) if each["name"] in used]
    return list(dict.fromkeys(name for each in listed for name in each["columns"]))


def same_model(champion: Side, challenger: Side) -> bool:
    """Whether the model files have the same bytes and read the same features."""
    hashes = {side.fact(MODEL_INFO, "sha256") for side in (champion, challenger)}
    return len(hashes) == 1 and same_features(champion, challenger)


def same_features(champion: Side, challenger: Side) -> bool:
    """Whether contract and code make the same features on both sides, as dvc.lock tells."""
    was, now = (_definitions(side) for side in (champion, challenger))
    return bool(was) and was == now


def _definitions(side: Side) -> dict[str, str]:
    stage = _featurize(side)
    return {dep.path: dep.hash for dep in side.version.graph.code(stage)} if stage else {}


def _featurize(side: Side) -> Stage | None:
    return next((each for each in side.version.graph.stages if each.name == "featurize"), None)


def _predict(model: Model, features: Path, rows: Rows) -> Predictions:
    table = read(features, [*model.features, rows.contract.key])
    if not np.array_equal(array(table[rows.contract.key]), rows.keys):
        raise UserError(f"{features.name} has other rows than {PREDICTIONS}; run 'dvc repro'")
    kinds = model.features.items()
    return model.predict({name: array(table[name]).astype(DTYPES[kind]) for name, kind in kinds})


# Features by the code of old


def _featurized(champion: Side, test: Path, absent: list[str], folder: Path) -> Path:
    """The champion's features of the challenger's test table, made in a folder of their own."""
    bundle = folder / "champion.zip"
    git.run("archive", "--format=zip", f"--output={bundle}", champion.version.base)
    with zipfile.ZipFile(bundle) as file:
        file.extractall(folder)
    for path in (TRAIN, TEST):  # of the training table one row would do, but none is no table
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(test, folder / path)
    _run_featurize(champion, folder, absent)
    return folder / TEST_FEATURES


def _run_featurize(champion: Side, folder: Path, absent: list[str]) -> None:
    stage = _featurize(champion)
    if stage is None or stage.command is None:
        raise UserError("the champion's dvc.lock records no run of featurize")
    _, *words = shlex.split(stage.command)  # after the name of Python
    command = [sys.executable, *words]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": "src"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60 * MINUTES,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"the champion's features took more than {MINUTES} minutes") from None
    if done.returncode or not (folder / TEST_FEATURES).is_file():
        said = (done.stderr.strip() or "it wrote nothing").splitlines()[-1]
        lacking = f"the test table has no {', '.join(absent)}: " if absent else ""
        raise UserError(
            f"the champion's code cannot make its features of this table: {lacking}{said}"
        )


def _columns(side: Side) -> list[str]:
    return list(side.document(CONTRACT).get("columns", {}))


# The test tables


def describe(side: Side, rows: Rows | None = None) -> dict[str, Any]:
    """A side's test table: its hash, and its rows and span as far as its bytes can be had."""
    file = side.recorded(TEST)
    found: dict[str, Any] = {"hash": file.hash if file else None, "rows": None, "span": None}
    if rows is None:
        try:
            contract = Contract.model_validate(side.document(CONTRACT))
            columns = [contract.key, *([contract.time] if contract.time else [])]
            rows = Rows(read(side.file(TEST), columns), contract)
        except (UserError, ValueError) as error:
            return found | {"why": " ".join(str(error).split())}
    return found | {"rows": len(rows), "span": rows.span()}


def same_rows(champion: Side, challenger: Side) -> bool:
    """Whether both sides were evaluated on the same test table."""
    files = [side.recorded(TEST) for side in (champion, challenger)]
    return all(files) and len({file.hash for file in files if file}) == 1


def seen(champion: Side, challenger: Side, rows: Rows, by: str) -> str | None:
    """How the champion has learned from these test rows, in a clause; None where it has not."""
    files = [side.recorded(TRAIN) for side in (champion, challenger)]
    if files[0] and files[1] and files[0].hash == files[1].hash:
        return None  # its own split keeps them apart
    until, span = champion.fact(MODEL_INFO, "trained_on").get("until"), rows.span()
    if by == "time" and until and span:
        late = datetime.fromisoformat(until) >= span[0]
        return f"it was trained on rows up to {until}, these begin at {span[0]}" if late else None
    apart = {"rows": rows.contract.key}  # which no split shares out to both tables
    if by == "group" and rows.contract.group:
        apart["groups"] = rows.contract.group
    return _shared(champion, rows, apart)


def _shared(champion: Side, rows: Rows, apart: dict[str, str]) -> str | None:
    try:
        for what, name in apart.items():
            if count := _known(champion, rows, name):
                return f"it was trained on {count:,} of these {what}"
    except UserError as error:
        return f"whether it was trained on some of these rows is not known ({error})"
    return None


def _known(champion: Side, rows: Rows, name: str) -> int:
    """How many values of a column the training table has, too."""
    learned = read(champion.file(TRAIN), [name])
    return len(set(array(rows.table[name]).tolist()) & set(array(learned[name]).tolist()))
