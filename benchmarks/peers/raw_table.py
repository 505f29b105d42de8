"""Fit two peers on the training table of an adopted project, and compare them with its model.

Arguments: the project's folder, and the seconds that FLAML gets. Prints one JSON document: the
metric of each on the test table, and the 95 % interval of the paired differences.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn import metrics as sk
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

FLAML_METRIC = {"roc_auc": "roc_auc", "log_loss": "log_loss", "root_mean_squared_error": "rmse"}
ERRORS = ("log_loss", "root_mean_squared_error")  # of any rows; a ranking needs every class
MOST_CATEGORIES = 254  # that HistGradientBoosting takes
RESAMPLES = 1000


def main() -> None:
    """Read the project, fit, compare, print."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    contract = yaml.safe_load((folder / "contract.yaml").read_text(encoding="utf-8"))
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    info = json.loads((folder / "models/model.json").read_text(encoding="utf-8"))
    headline, target = params["select"]["headline"], contract["target"]
    columns = [
        name
        for name, column in contract["columns"].items()
        if column["known"] == "before" and name not in (contract["key"], contract["group"])
    ]
    train, test = (pd.read_parquet(folder / f"data/{part}.parquet") for part in ("train", "test"))
    names = info["classes"]
    y_train, y_test = coded(train[target], names), coded(test[target], names)
    x_train, x_test = prepared(train[columns], test[columns])
    peers = {"hist gradient boosting": boosting(x_train, y_train, names)}
    peers["flaml"] = flaml(x_train, y_train, names, FLAML_METRIC[headline], seconds)
    predictions = {name: predicted(model, x_test, names) for name, model in peers.items()}
    rows = pd.read_parquet(folder / "data/predictions.parquet").set_index(contract["key"])
    own = rows.loc[test[contract["key"]]]
    columns = [f"probability_{name}" for name in names] or ["prediction"]
    predictions["ours"] = own[columns].to_numpy().squeeze()
    groups = test[contract["group"]] if contract["group"] else None
    print(json.dumps(compared(y_test, predictions, headline, groups)))


def coded(target: pd.Series, names: list[str]) -> np.ndarray:
    """The target as class codes, or numbers."""
    if not names:
        return target.to_numpy(dtype=float)
    texts = target.astype(str).str.lower() if target.dtype == bool else target.astype(str)
    return texts.map({name: code for code, name in enumerate(names)}).to_numpy(dtype=int)


def prepared(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Categories by dtype, as scikit-learn recommends, rare ones merged; the rest as numbers."""
    both = []
    for table in (train, test):
        columns = {}
        for name in table:
            values = table[name]
            if pd.api.types.is_datetime64_any_dtype(values):
                columns[name] = values.astype("int64").astype(float).where(values.notna())
            elif pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
                columns[name] = values.astype("Float64").astype(float)
            else:
                common = train[name].value_counts().index[: MOST_CATEGORIES - 1]
                texts = values.where(values.isin(common) | values.isna(), "(other)")
                columns[name] = pd.Categorical(texts, categories=[*common, "(other)"])
        both.append(pd.DataFrame(columns, index=table.index))
    return both[0], both[1]


def boosting(x: pd.DataFrame, y: np.ndarray, names: list[str]) -> Any:
    """HistGradientBoosting with its defaults."""
    kind = HistGradientBoostingClassifier if names else HistGradientBoostingRegressor
    return kind(categorical_features="from_dtype", random_state=1).fit(x, y)


def flaml(x: pd.DataFrame, y: np.ndarray, names: list[str], metric: str, seconds: float) -> Any:
    """FLAML's best model within the time budget."""
    from flaml import AutoML

    model = AutoML()
    task = "classification" if names else "regression"
    metric = "roc_auc_ovr" if metric == "roc_auc" and len(names) > 2 else metric
    model.fit(x, y, task=task, metric=metric, time_budget=seconds, seed=1, verbose=0)
    return model


def predicted(model: Any, x: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Probabilities of each class, also for two (n, 2); or values."""
    return np.asarray(model.predict_proba(x) if names else model.predict(x))


def compared(
    y: np.ndarray, predictions: dict[str, np.ndarray], headline: str, groups: pd.Series | None
) -> dict[str, Any]:
    """The metric of each model, and paired differences, positive if ours is better."""

    def score(rows: np.ndarray, prediction: np.ndarray) -> float:
        if headline == "roc_auc" and prediction.shape[1] == 2:
            return float(sk.roc_auc_score(y[rows], prediction[rows, 1]))
        if headline == "roc_auc":
            return float(sk.roc_auc_score(y[rows], prediction[rows], multi_class="ovr"))
        if headline == "log_loss":
            labels = range(prediction.shape[1])
            return -float(sk.log_loss(y[rows], prediction[rows], labels=labels))
        return -float(sk.root_mean_squared_error(y[rows], prediction[rows]))

    all_rows, random = np.arange(len(y)), np.random.default_rng(1)
    samples = resamples(all_rows, groups, random)
    draws = [rows for rows in samples if headline in ERRORS or set(y[rows]) == set(y)]
    scores = {
        name: np.array([score(rows, prediction) for rows in draws])
        for name, prediction in predictions.items()
    }
    result: dict[str, Any] = {"metric": headline, "rows": len(y)}
    for name, prediction in predictions.items():
        result[name] = abs(score(all_rows, prediction))
        if name != "ours":
            low, high = np.quantile(scores["ours"] - scores[name], [0.025, 0.975])
            result[f"ours minus {name}"] = [float(low), float(high)]
    return result


def resamples(
    rows: np.ndarray, groups: pd.Series | None, random: np.random.Generator
) -> list[np.ndarray]:
    """Bootstrap resamples of the rows, or of whole groups."""
    if groups is None:
        return [random.choice(rows, len(rows)) for _ in range(RESAMPLES)]
    of_group = list(pd.Series(rows).groupby(groups.to_numpy()).indices.values())
    return [
        np.concatenate([of_group[group] for group in random.choice(len(of_group), len(of_group))])
        for _ in range(RESAMPLES)
    ]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
