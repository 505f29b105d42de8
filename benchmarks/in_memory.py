"""Processor seconds of onnxruntime alone and of the model part of bulk predictions.

Both get the same features in memory, a batch at a time: onnxruntime as arrays of shape (rows, 1),
ours as features, from which it makes those arrays, probabilities, decisions and prediction sets.
Rounds alternate, with one thread each. Prints the seconds of each round as JSON.
"""

import json
import sys
import time
from collections.abc import Callable

import onnxruntime
from flight_delays import features

from machinery.bulk.locations import locate
from machinery.bulk.source import Source
from machinery.pipeline.data import checks
from machinery.pipeline.data.columns import arrays, combine_chunks
from machinery.pipeline.model.scoring import Scorer

ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """Processor time, which is less affected by other load than wall clock."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure."""
    scorer = Scorer(features)
    batches = [batch.table for batch in Source(locate(sys.argv[1])).batches()]
    raw = [
        arrays(
            checks.check(
                {name: combine_chunks(table[name]) for name in scorer.columns}, scorer.contract
            )[0],
            scorer.columns,
            scorer.contract,
        )
        for table in batches
    ]
    prepared = [scorer.features(columns) for columns in raw]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession("models/model.onnx", options)
    feeds = [
        {name: array.reshape(-1, 1) for name, array in columns.items()} for columns in prepared
    ]
    spent: dict[str, list[float]] = {"onnxruntime": [], "model part": [], "features": []}
    for _ in range(ROUNDS):
        spent["onnxruntime"].append(seconds(lambda: [session.run(None, feed) for feed in feeds]))
        spent["model part"].append(seconds(lambda: [scorer.score(columns) for columns in prepared]))
        spent["features"].append(seconds(lambda: [scorer.features(columns) for columns in raw]))
    print(json.dumps({"rows": sum(map(len, batches)), **spent}))


if __name__ == "__main__":
    main()
