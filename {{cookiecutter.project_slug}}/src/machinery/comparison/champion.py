"""Score the champion on the challenger's test rows.

If both make the same features, the champion's model file gets the challenger's features. Otherwise
the champion's own code makes its features from the challenger's test table: stages only share
files, so that old code can run beside today's.
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

    Raises UserError if the two cannot be compared.
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
        different = f"{paths.TEST_FEATURES} has other rows than {paths.PREDICTIONS}"
        raise UserError(f"{different}; run 'dvc repro'")
    return model.predict(table[list(model.features)])


def require_same_question(champion: Side, contract: Contract) -> None:
    """Refuse a champion that predicts something else, or reads columns of another meaning."""
    info, columns = champion.document(paths.MODEL_INFO), _columns(champion)
    facts = [
        ("task", info.get("task"), contract.task),
        ("target", info.get("target"), contract.target),
        ("classes", info.get("classes"), contract.class_names),
        ("contract_version", info.get("contract_version"), contract.version),
    ]
    for name in [contract.target, *_columns_read(champion)]:
        if name in columns and (column := contract.columns.get(name)):
            facts.append((f"type of {name}", columns[name].get("type"), column.type))
            facts.append((f"unit of {name}", columns[name].get("unit"), column.unit))
    for fact, old, new in facts:
        if old != new:
            both = f"the champion's is {old}, the challenger's is {new}"
            raise UserError(f"the {fact} is not the same: {both}")


def _columns(side: Side) -> dict[str, Any]:
    return dict(side.document(paths.CONTRACT).get("columns", {}))


def _columns_read(side: Side) -> list[str]:
    """The columns that the model's features are made from; all if there is no catalogue."""
    if (features := side.find(paths.FEATURES)) is None:
        return list(_columns(side))
    used = side.fact(paths.MODEL_INFO, "features")
    return [name for feature in features if feature["name"] in used for name in feature["columns"]]


def same_features(champion: Side, challenger: Side) -> bool:
    """Whether contract, user's code and machinery make the same features, by dvc.lock."""
    old, new = (
        {dep.path: dep.hash for dep in side.version.graph.code(side.stage("featurize"))}
        for side in (champion, challenger)
    )
    return old == new


def featurize(champion: Side, test: Path, folder: Path) -> Path:
    """Make features of the challenger's test table with the champion's own code, in the folder."""
    archive = io.BytesIO(git.read("archive", "--format=zip", champion.version.base))
    zipfile.ZipFile(archive).extractall(folder)
    for path in (paths.TRAIN, paths.TEST):  # the stage reads both, and only the test rows count
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(test, folder / path)
    own = {name: value for name, value in os.environ.items() if not name.endswith("_COMPUTE")}
    _, *arguments = shlex.split(str(champion.stage("featurize").command))  # after `python`
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=own | {"PYTHONPATH": "src"},  # a cluster has the challenger's code
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    features = folder / paths.TEST_FEATURES
    if done.returncode or not features.is_file():
        reason = (done.stderr.strip() or "it wrote nothing").splitlines()[-1]
        raise UserError(f"the champion's code cannot make its features of this table: {reason}")
    return features


def training_overlap(
    champion: Side, challenger: Side, rows: "pd.DataFrame", contract: Contract, by: str
) -> str | None:
    """How the champion was trained on these test rows, in a clause; None if it was not."""
    if (md5 := champion.md5(paths.TRAIN)) and md5 == challenger.md5(paths.TRAIN):
        return None  # the split keeps training and test rows apart
    until = champion.fact(paths.MODEL_INFO, "trained_on").get("until")
    if by == "time" and until and contract.time:
        start = rows[contract.time].min()
        overlaps = np.datetime64(until) >= start
        return f"it was trained on rows up to {until}, these begin at {start}" if overlaps else None
    name, unit = contract.key, "rows"
    if by == "group" and contract.group:
        name, unit = contract.group, "groups"
    try:
        trained = read_table(champion.file(paths.TRAIN), [name])[name]
    except UserError as error:
        return f"whether it was trained on some of these rows is unknown ({error})"
    count = rows[name].drop_duplicates().isin(trained).sum()
    return f"it was trained on {count:,} of these {unit}" if count else None
