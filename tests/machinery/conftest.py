"""Fixtures: a small contract with columns of each kind, and models of the shop."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract


def column(kind: str, **changes: Any) -> dict[str, Any]:
    """A column of the contract, as YAML would give it."""
    plain = {"unit": None, "allowed": None, "nullable": False, "known": "before"}
    return {"type": kind, "description": "what it is", "owner": "a team", **plain, **changes}


@pytest.fixture
def document() -> dict[str, Any]:
    """A contract document, to be changed by the test."""
    return {
        "version": 1,
        "task": "classification",
        "target": "late",
        "key": "id",
        "time": "at",
        "group": None,
        "columns": {
            "id": column("string", identifier=True),
            "at": column("datetime"),
            "size": column("number", allowed={"min": 0, "max": 10}, nullable=True),
            "colour": column("category", allowed=["red", "blue"]),
            "delay": column("number", known="after"),
            "late": column("boolean", known="after"),
        },
    }


@pytest.fixture
def contract(document: dict[str, Any]) -> Contract:
    """The contract of the document."""
    return contracts.parse(document)


@pytest.fixture
def shop_source(tmp_path: Path) -> Path:
    """The folder src of a project that has the shop's code and the machinery."""
    here = Path(__file__).parent
    machinery = here.parents[1] / "{{cookiecutter.project_slug}}" / "src" / "machinery"
    source = tmp_path / "src"
    source.mkdir()
    (source / "machinery").symlink_to(machinery)
    (source / "shop").symlink_to(here / "shop")
    return source


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models: `shop`, `other` of the same contract, and `days`, a regression."""
    from shop.model_folder import write_model

    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "shop")
    write_model(folder / "other", strength=0.01)
    write_model(folder / "days", "regression")
    return folder


@pytest.fixture
def shop(models: Path, tmp_path: Path) -> Path:
    """A model folder that predicts whether a parcel will be late; the test may change it."""
    shutil.copytree(models / "shop", tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """Make a valid row with changes; `...` as a value removes the field."""

    def changed(**changes: Any) -> dict[str, Any]:
        row = {"id": "x", "at": "2026-01-02T08:00:00", "weight": 20.0}
        row |= {"colour": "red", "town": "Aa", "pieces": None, "gift": None, "seen": None}
        return {name: value for name, value in {**row, **changes}.items() if value is not ...}

    return changed
