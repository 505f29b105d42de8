"""The work of the generated project as a Kedro project: its peer in benchmarks/pipeline.py."""
