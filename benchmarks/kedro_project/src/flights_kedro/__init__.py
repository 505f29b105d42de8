"""The generated project's work as a Kedro project, for benchmarks/pipeline.py."""
