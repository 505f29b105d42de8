"""LightGBM, XGBoost, neighbours and support vectors, as the guide writes them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.files import UserError
from machinery.pipeline.model.building import Candidates, build
from machinery.pipeline.model.model_file import Model, save
from machinery.pipeline.model.parity import check_parity, parity_rows
from shop import candidates as shop

GUIDE = next(Path(__file__).parents[4].glob("*/docs/guide/models.md")).read_text(encoding="utf-8")
LIMIT = 1e-4
NUMBERS = "number", "amount"
NUMERIC = ["warmth", "spread", "pieces"]
SMALL: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_estimators": 30},
    "xgboost": {"n_estimators": 30},
}


def of_the_guide() -> Candidates:
    (code,) = re.findall(r"^```python\n(def lightgbm.+?)^```$", GUIDE, re.M | re.S)
    names = re.findall(r"^def (\w+)", code, re.M)
    exec(code, space := dict(vars(shop)))
    return {name: space[name] for name in names}


CANDIDATES = of_the_guide()


def a_table(rows: int = 1000) -> pd.DataFrame:
    """Differences of tenths, which float32 makes neighbours of what is equal."""
    random = np.random.default_rng(1)
    warmth, chill = (random.normal(mean, 15, rows).round(1).astype("float32") for mean in (60, 50))
    table = pd.DataFrame({"warmth": warmth, "spread": warmth - chill})
    table["pieces"] = random.integers(0, 40, rows).astype("float32")
    table.loc[random.random(rows) < 0.1, "warmth"] = np.nan
    return table.assign(town=random.choice([f"town {number}" for number in range(20)], rows))


def a_target(kind: str) -> Any:
    table, noise = a_table(), np.random.default_rng(2).normal(size=1000)
    value = table["spread"] / 10 + table["pieces"] / 20 + (table["town"] > "town 5") + noise
    if kind in NUMBERS:
        return value.to_numpy() if kind == "number" else np.exp(value.to_numpy() / 3)
    return np.digitize(value, [2.5] if kind == "binary" else [1, 3])


def fitted(name: str, kind: str, **hyperparameters: Any) -> Any:
    return build(
        name,
        CANDIDATES,
        task="regression" if kind in NUMBERS else "classification",
        numeric=NUMERIC,
        categorical=["town"],
        hyperparameters=SMALL.get(name, {}) | hyperparameters,
        seed=1,
    ).fit(a_table(), a_target(kind))


def checked(pipeline: Any, kind: str, folder: Path) -> float:
    path = folder / "all-mine.onnx"
    save(pipeline, dict.fromkeys(NUMERIC, "number") | {"town": "string"}, path)  # type: ignore[arg-type]
    scale = float(np.std(a_target(kind))) if kind in NUMBERS else 1.0
    rows = parity_rows(a_table(), rows=1000, seed=1)
    return check_parity(pipeline, Model(path), rows, limit=LIMIT, scale=scale)


@pytest.mark.parametrize("kind", ["binary", "three classes", "number"])
@pytest.mark.parametrize("name", CANDIDATES)
def test_they_convert_faithfully_without_output(
    name: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert checked(fitted(name, kind), kind, tmp_path) < LIMIT / 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_boosting_runs_on_one_thread_unless_the_candidate_says_otherwise(name: str) -> None:
    assert fitted(name, "binary")[-1].get_params()["n_jobs"] == 1


def test_the_log_of_lightgbm_can_be_enabled(capfd: pytest.CaptureFixture[str]) -> None:
    fitted("lightgbm", "binary", verbose=1)
    assert "[LightGBM] [Info]" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        *(("lightgbm", loss) for loss in ("poisson", "tweedie", "gamma", "quantile", "huber")),
        *(("xgboost", loss) for loss in ("count:poisson", "reg:tweedie", "reg:gamma")),
    ],
)
def test_objectives_convert_with_their_link(name: str, objective: str, tmp_path: Path) -> None:
    checked(fitted(name, "amount", objective=objective), "amount", tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "hyperparameters"),
    [
        ("lightgbm", "binary", {"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}),
        ("lightgbm", "three classes", {"objective": "multiclassova"}),
        ("xgboost", "three classes", {"objective": "multi:softmax"}),
        ("xgboost", "binary", {"booster": "gblinear"}),
        ("xgboost", "binary", {"num_parallel_tree": 3}),
        ("neighbours", "binary", {"weights": "distance"}),
    ],
)
def test_what_has_no_faithful_converter_is_refused_by_name(
    name: str, kind: str, hyperparameters: dict[str, Any], tmp_path: Path
) -> None:
    pipeline = fitted(name, kind, **hyperparameters)
    estimator = type(pipeline[-1]).__name__
    with pytest.raises(UserError, match=rf"^all-mine: [^\n]*{estimator} does not convert [^\n]*$"):
        checked(pipeline, kind, tmp_path)


def test_without_such_a_candidate_none_of_their_libraries_is_imported(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        import pandas as pd
        from machinery.pipeline.model.building import build
        from machinery.pipeline.model.model_file import save
        from shop.candidates import CANDIDATES
        parts = dict(task="classification", numeric=["a"], categorical=[], hyperparameters={{}})
        linear = build("linear", CANDIDATES, **parts, seed=1)
        linear.fit(pd.DataFrame({{"a": [0.0, 1.0]}}, dtype="float32"), [0, 1])
        save(linear, {{"a": "number"}}, Path({str(tmp_path)!r}) / "model.onnx")
        sys.exit(bool({{"lightgbm", "xgboost", "onnxmltools"}} & sys.modules.keys()))"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
