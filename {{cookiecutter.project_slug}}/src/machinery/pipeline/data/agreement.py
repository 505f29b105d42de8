"""Check that params.yaml is valid and fits the contract."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from machinery.pipeline import params
from machinery.pipeline.files import UserError
from machinery.pipeline.paths import PARAMS
from machinery.pipeline.statistics import metrics

from .contract import Contract


def require(document: Mapping[str, Any], contract: Contract) -> None:
    """Check all sections at once, before hours of training; UserError names every fault."""
    faults: list[str] = []
    for kind in params.SECTIONS:
        if kind in (params.Monitor, params.Search) and kind.__name__.lower() not in document:
            continue  # optional, and not read by the pipeline
        try:
            faults += _misfits(params.parse(kind, document), document, contract)
        except UserError as error:
            faults.append(str(error).removeprefix(f"{PARAMS}: "))
    if faults:
        distinct = dict.fromkeys(faults)  # search parses train again
        raise UserError(f"{PARAMS}: {'; '.join(distinct)}")


def _misfits(section: BaseModel, document: Mapping[str, Any], contract: Contract) -> Iterator[str]:
    match section:
        case params.Split(by="time" | "group" as by) if getattr(contract, by) is None:
            yield f"split.by is {by}, but contract.yaml names no {by} column"
        case params.Select(headline=name) if name not in metrics.names(contract.task):
            yield metrics.unknown(name, contract.task)
        case params.Train():
            yield from _wrong_constraints(section)
        case params.Search(root=spaces):
            train = params.parse(params.Train, document)
            for name in spaces.keys() - train.hyperparameters.keys():
                yield f"search names {name}, which train.hyperparameters does not describe"
        case params.Evaluate(slices=columns):
            for name in columns:
                if name not in contract.columns:
                    yield f"evaluate.slices names {name}, which contract.yaml does not describe"
                elif contract.columns[name].personal:
                    yield (
                        f"evaluate.slices names {name}, a personal column (contract.yaml), whose "
                        "values reports do not show; slice by a coarser column"
                    )


def _wrong_constraints(train: params.Train) -> Iterator[str]:
    features = {name for names in train.features.values() for name in names}
    for model, hyperparameters in train.hyperparameters.items():
        signs = hyperparameters.get("monotonic_cst")
        path = f"train.hyperparameters.{model}.monotonic_cst"
        for name, sign in signs.items() if isinstance(signs, dict) else ():
            if name not in features:
                yield f"{path} names {name}, which is in no feature set"
            if sign not in (-1, 0, 1):
                yield f"{path}.{name} is {sign}; 1 is for rising, -1 for falling"
