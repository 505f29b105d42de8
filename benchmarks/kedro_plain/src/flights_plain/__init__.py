"""The work of the generated project as people write it in Kedro: a peer in pipeline.py."""
