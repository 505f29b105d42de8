"""The generated project's work as people write it in Kedro, for benchmarks/pipeline.py."""
