"""champion: a side with a model and the challenger's test rows in; its predictions of them out.

A champion is scored on exactly the challenger's rows. Where both make the same features, its model
file reads the challenger's; else its own code makes them from the challenger's test table. Stages
meet only in files, so that old code runs beside today's without knowing of it.
"""

import io
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline import paths
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, read_table
from machinery.pipeline.model.model_file import Model
from machinery.versions import git

from .side import Side

if TYPE_CHECKING:
    import pandas as pd


def score(
    champion: Side, challenger: Side, rows: "pd.DataFrame", contract: Contract
) -> NDArray[Any]:
    """The champion's predictions of the challenger's test rows, in their order.

    Raises UserError, in a sentence, when the two cannot be compared.
    """
    require_same_question(champion, contract)
    model = Model(champion.file(paths.MODEL))
    with TemporaryDirectory() as folder:
        if same_features(champion, challenger):
            features = challenger.file(paths.TEST_FEATURES)
        else:
            features = featurize(champion, challenger.file(paths.TEST), Path(folder))
        table = read_table(features, [*model.features, contract.key])
    if not np.array_equal(table[contract.key], rows[contract.key]):
        other = f"{paths.TEST_FEATURES} has other rows than {paths.PREDICTIONS}"
        raise UserError(f"{other}; run 'dvc repro'")
    return model.predict(table[list(model.features)])


def require_same_question(champion: Side, contract: Contract) -> None:
    """Refuse a champion that predicts something else, or to which a column means something else."""
    now = {
        "task": contract.task,
        "target": contract.target,
        "classes": contract.class_names,
        "contract_version": contract.version,
    }
    was = {name: champion.document(paths.MODEL_INFO).get(name) for name in now}
    before = champion.document(paths.CONTRACT).get("columns", {})
    for name in [contract.target, *_read_by(champion)]:
        if name in before and (column := contract.columns.get(name)):
            for field in ("type", "unit"):
                was[f"{field} of {name}"] = before[name].get(field)
                now[f"{field} of {name}"] = getattr(column, field)
    for what, value in now.items():
        if was[what] != value:
            both = f"the champion's is {was[what]}, the challenger's is {value}"
            raise UserError(f"the {what} is not the same: {both}")


def _read_by(side: Side) -> list[str]:
    """The columns that the model's features are made from; all, if there is no catalogue."""
    if (features := side.find(paths.FEATURES)) is None:
        return list(side.document(paths.CONTRACT).get("columns", {}))
    used = side.fact(paths.MODEL_INFO, "features")
    read = [feature["columns"] for feature in features if feature["name"] in used]
    return list(dict.fromkeys(name for columns in read for name in columns))


def same_features(champion: Side, challenger: Side) -> bool:
    """Whether contract, user's code and machinery make the same features, by dvc.lock."""
    was, now = (
        {dep.path: dep.hash for dep in side.version.graph.code(side.stage("featurize"))}
        for side in (champion, challenger)
    )
    return was == now


def featurize(champion: Side, test: Path, folder: Path) -> Path:
    """Let the champion's own code make features of the challenger's test table, in the folder."""
    archive = io.BytesIO(git.read("archive", "--format=zip", champion.version.base))
    zipfile.ZipFile(archive).extractall(folder)
    for path in (paths.TRAIN, paths.TEST):  # the stage reads both, and only the test rows count
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(test, folder / path)
    own = {name: value for name, value in os.environ.items() if not name.endswith("_COMPUTE")}
    _, *words = shlex.split(str(champion.stage("featurize").command))  # after the name of Python
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=own | {"PYTHONPATH": "src"},  # a cluster has the challenger's code
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    features = folder / paths.TEST_FEATURES
    if done.returncode or not features.is_file():
        said = (done.stderr.strip() or "it wrote nothing").splitlines()[-1]
        raise UserError(f"the champion's code cannot make its features of this table: {said}")
    return features


def seen(
    champion: Side, challenger: Side, rows: "pd.DataFrame", contract: Contract, by: str
) -> str | None:
    """How the champion was trained on these test rows, in a clause; None where it was not."""
    was, now = (side.recorded(paths.TRAIN) for side in (champion, challenger))
    if was and was == now:
        return None  # its own split keeps them apart
    until = champion.fact(paths.MODEL_INFO, "trained_on").get("until")
    if by == "time" and until and contract.time:
        start = rows[contract.time].min()
        late = np.datetime64(until) >= start
        return f"it was trained on rows up to {until}, these begin at {start}" if late else None
    group = contract.group if by == "group" else None
    name, what = (group, "groups") if group else (contract.key, "rows")
    try:
        learned = read_table(champion.file(paths.TRAIN), [name])[name]
    except UserError as error:
        return f"whether it was trained on some of these rows is unknown ({error})"
    count = rows[name].drop_duplicates().isin(learned).sum()
    return f"it was trained on {count:,} of these {what}" if count else None
