"""Copy a folder to an S3 bucket or back with s3fs.

Run by versioning.py with a generated project's Python, for comparison with `dvc push` and `pull`.
"""

import sys

from s3fs import S3FileSystem


def main(verb: str, folder: str, bucket: str, url: str) -> None:
    """Copy all files; s3fs transfers many at a time, and parts of large ones."""
    s3 = S3FileSystem(endpoint_url=url)
    if verb == "push":
        s3.put(f"{folder}/", f"{bucket}/", recursive=True)
    else:
        s3.get(f"{bucket}/", f"{folder}/", recursive=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
