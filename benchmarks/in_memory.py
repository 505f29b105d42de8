"""in_memory: rows of Parquet in; seconds of onnxruntime alone and of the bulk's model part, out.

Both get the same features, in memory, a batch at a time: onnxruntime its arrays of shape (rows, 1),
ours the features, from which it makes those arrays, probabilities, decisions and prediction sets.
Rounds alternate; one thread each. Prints JSON, the seconds of each round.
"""

import json
import sys
import time
from collections.abc import Callable

import onnxruntime
from machinery.bulk.rows import to_numpy
from machinery.bulk.source import Position, Source
from machinery.pipeline.model.scoring import Scorer

ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """Processor time: others use the machine, too."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure."""
    scorer = Scorer()
    batches = [batch.table for batch in Source(sys.argv[1]).batches(Position())]
    raw = [
        {name: to_numpy(table[name].combine_chunks()) for name in scorer.columns}
        for table in batches
    ]
    features = [scorer.features(columns) for columns in raw]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession("models/model.onnx", options)
    feeds = [{name: array.reshape(-1, 1) for name, array in each.items()} for each in features]
    found: dict[str, list[float]] = {"onnxruntime": [], "model part": [], "features": []}
    for _ in range(ROUNDS):
        found["onnxruntime"].append(seconds(lambda: [session.run(None, feed) for feed in feeds]))
        found["model part"].append(seconds(lambda: [scorer.score(each) for each in features]))
        found["features"].append(seconds(lambda: [scorer.features(each) for each in raw]))
    print(json.dumps({"rows": sum(map(len, batches)), **found}))


if __name__ == "__main__":
    main()
