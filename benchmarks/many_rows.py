"""Repeat the valid rows of a reproduced project, with unique keys."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BLOCK = 1_000_000


def main() -> None:
    """Write the rows a million at a time."""
    rows, path = int(sys.argv[1]), sys.argv[2]
    table = pq.read_table("data/valid.parquet").replace_schema_metadata(None)
    block = pa.concat_tables([table] * -(-BLOCK // len(table))).slice(0, BLOCK).combine_chunks()
    text = block.schema.field("flight_id").type
    with pq.ParquetWriter(path, block.schema) as writer:
        for start in range(0, rows, BLOCK):
            part = block.slice(0, min(BLOCK, rows - start))
            number = pa.array(np.arange(start, start + len(part))).cast(pa.string()).cast(text)
            keys = pc.binary_join_element_wise(part["flight_id"], number, pa.scalar("-", text))
            writer.write_table(part.set_column(0, "flight_id", keys))


if __name__ == "__main__":
    main()
