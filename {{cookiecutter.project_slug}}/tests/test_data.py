"""The data in data/source satisfies the contract, up to the quarantine limit."""

import pyarrow as pa
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.params import Ingest, Validate, load
from machinery.pipeline.paths import SOURCE
from machinery.pipeline.stages import ingest, validate

from {{cookiecutter.project_slug}} import source

pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="data/source is not here: dvc pull")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    params = load(Ingest)
    return ingest.ingest(ingest.read(source, params), params.until, contracts.load())


def test_the_source_satisfies_the_contract(table: pa.Table) -> None:
    until, contract = load(Ingest).until, contracts.load()
    assert len(validate.validate(table, until, contract, load(Validate)).valid) > 0


def test_the_target_has_every_class(table: pa.Table) -> None:
    contract = contracts.load()
    contract.require_classes(table[contract.target].to_pandas())
