"""publication: a version's archive and notes in, where others find them out.

The setting PUBLISH says where to: `release` is a release on the code host, with the archive.
Without it nothing is published, and the job keeps the archive as its artifact.
"""

from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError
from machinery.versions import git, registry
from .host import Host, host

PLACES = ("", "release")


def publish(version: str, archive: Path, place: str) -> str:
    """Publish as the setting says, or bring up to date what is published; say it in a line."""
    if place not in PLACES:
        raise UserError(f"PUBLISH is '{place}'; known are 'release', and nothing for nowhere")
    registry.find(version)
    if not place:
        return f"{archive.name} is not published; set the variable PUBLISH to 'release' for that"
    where = host()
    if where is None:
        raise UserError(f"no CI job of a code host runs this; {archive} is yours to publish")
    notes = git.run("tag", "--list", "--format=%(contents)", version)
    publish_there = _github if where.job.host == "github" else _gitlab
    return f"Published {publish_there(where, version, archive, notes)}"


def _github(where: Host, version: str, archive: Path, notes: str) -> str:
    """A release of the tag; its archive replaces one of the same name."""
    found: dict[str, Any] | None = where.find(f"releases/tags/{version}")
    if found is None:
        text = {"tag_name": version, "name": version, "body": notes}
        found = where.call("POST", "releases", text)
    assert found is not None
    for asset in found.get("assets", []):
        if asset["name"] == archive.name:
            where.remove(f"releases/assets/{asset['id']}")
    address = found["upload_url"].partition("{")[0]
    where.call("POST", address, archive.read_bytes(), name=archive.name)
    return str(found["html_url"])


def _gitlab(where: Host, version: str, archive: Path, notes: str) -> str:
    """A generic package, and a release of the tag that links to it."""
    path = f"packages/generic/model/{version}/{archive.name}"
    where.call("PUT", path, archive.read_bytes())
    if where.find(f"releases/{version}") is None:
        link = {"name": archive.name, "url": f"{where.api}/{path}", "link_type": "package"}
        text = {"tag_name": version, "name": version, "description": notes}
        where.call("POST", "releases", {**text, "assets": {"links": [link]}})
    return f"{where.api}/{path}"
