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
from flight_delays import features

from machinery.bulk.places import place
from machinery.bulk.source import Source
from machinery.pipeline.data import checks
from machinery.pipeline.data.columns import arrays, combine_chunks
from machinery.pipeline.model.scoring import Scorer

ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """Processor time: others use the machine, too."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure."""
    scorer = Scorer(features)
    batches = [batch.table for batch in Source(place(sys.argv[1])).batches()]
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
    made = [scorer.features(columns) for columns in raw]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession("models/model.onnx", options)
    feeds = [{name: array.reshape(-1, 1) for name, array in each.items()} for each in made]
    spent: dict[str, list[float]] = {"onnxruntime": [], "model part": [], "features": []}
    for _ in range(ROUNDS):
        spent["onnxruntime"].append(seconds(lambda: [session.run(None, feed) for feed in feeds]))
        spent["model part"].append(seconds(lambda: [scorer.score(each) for each in made]))
        spent["features"].append(seconds(lambda: [scorer.features(each) for each in raw]))
    print(json.dumps({"rows": sum(map(len, batches)), **spent}))


if __name__ == "__main__":
    main()
