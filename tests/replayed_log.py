"""Write a prediction log of the days between two dates; run by the Python of a project.

It answers every flight of the sample in that span as the service would, and logs the outcomes.
"""

import sys
from datetime import datetime
from pathlib import Path

from flight_delays.__main__ import project

from machinery.pipeline import params
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.model.scoring import Scorer, version_of
from machinery.pipeline.params import Ingest
from machinery.pipeline.stages import ingest as stage
from machinery.serving.log import PredictionLog

folder, start, end = Path(sys.argv[1]), *map(datetime.fromisoformat, sys.argv[2:4])
contract = contracts.load()
window = params.load(Ingest).model_copy(update={"until": end})
rows = stage.ingest(stage.read(project.source(), window), end, contract).to_pylist()
scorer = Scorer(project.features())
log = PredictionLog(folder, contract, lambda *_: None)
days: dict[object, list[dict]] = {}  # type: ignore[type-arg]
for row in rows:
    if row[contract.time] >= start:
        days.setdefault(row[contract.time].date(), []).append(row)
for day, part in days.items():
    raw = {name: [row[name] for row in part] for name in contract.known_before()}
    features = scorer.features(scorer.arrays({name: raw[name] for name in scorer.columns}))
    version = version_of(Path(), scorer.info)
    log.answers(str(day), raw, features, scorer.score(features), model_version=version)
    log.feedback([(str(day), number, row[contract.target]) for number, row in enumerate(part)])
log.close()
