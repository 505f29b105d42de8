"""agreement: params.yaml and the contract in; every place that is wrong out, all at once."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from machinery.pipeline.files import UserError
from machinery.pipeline.params import (
    SECTIONS,
    Evaluate,
    Monitor,
    Search,
    Select,
    Split,
    Train,
    parse,
)
from machinery.pipeline.paths import PARAMS
from machinery.pipeline.statistics import metrics

from .contract import Contract


def require(document: Mapping[str, Any], contract: Contract) -> None:
    """Refuse params that are wrong, or that do not fit the contract, before hours of training.

    Raises:
        UserError: naming every wrong place.
    """
    faults: list[str] = []
    for kind in SECTIONS:
        if kind in (Monitor, Search) and kind.__name__.lower() not in document:
            continue  # a project may do without, and the pipeline does not read them
        try:
            faults += _misfits(parse(kind, document), document, contract)
        except UserError as error:
            faults.append(str(error).removeprefix(f"{PARAMS}: "))
    if faults:
        once = dict.fromkeys(faults)  # search reads train, and finds its faults again
        raise UserError(f"{PARAMS}: {'; '.join(once)}")


def _misfits(section: BaseModel, document: Mapping[str, Any], contract: Contract) -> Iterator[str]:
    match section:
        case Split(by="time" | "group" as by) if getattr(contract, by) is None:
            yield f"split.by is {by}, but contract.yaml names no {by} column"
        case Select(headline=name) if name not in metrics.names(contract.task):
            yield metrics.unknown(name, contract.task)
        case Train(hyperparameters=models, features=sets):
            every = {name for names in sets.values() for name in names}
            for model, dials in models.items():
                signs = dials.get("monotonic_cst")
                for name, sign in signs.items() if isinstance(signs, dict) else ():
                    where = f"train.hyperparameters.{model}.monotonic_cst"
                    if name not in every:
                        yield f"{where} names {name}, which is in no feature set"
                    if sign not in (-1, 0, 1):
                        yield f"{where}.{name} is {sign}; 1 is for rising, -1 for falling"
        case Search(root=spaces):
            known = parse(Train, document).hyperparameters
            for name in spaces.keys() - known.keys():
                yield f"search names {name}, which train.hyperparameters does not describe"
        case Evaluate(slices=columns):
            for name in columns:
                if name not in contract.columns:
                    yield f"evaluate.slices names {name}, which contract.yaml does not describe"
                elif contract.columns[name].personal:
                    why = "which contract.yaml calls personal, so reports do not show its values"
                    yield f"evaluate.slices names {name}, {why}; slice by a coarser column"
