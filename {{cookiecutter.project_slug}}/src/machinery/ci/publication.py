"""publication: a version's archive in; a release of the code host with it out.

The setting PUBLISH says where to: `release` is a release on the code host. Without it nothing is
published, and the job keeps the archive as its artifact.
"""

from pathlib import Path

from machinery.pipeline.files import UserError
from machinery.versions import git, registry

from .host import Host, host


def publish(version: str, archive: Path, place: str) -> str:
    """Publish as the setting says, or update what is published; return one line about it."""
    if place not in ("", "release"):
        raise UserError(f"PUBLISH is '{place}'; use 'release', or leave it empty for nowhere")
    registry.find(version)
    if not place:
        return f"{archive.name} is not published; set the variable PUBLISH to 'release' for that"
    where = host()
    if where is None:
        raise UserError(f"this is no CI job of a code host; {archive} is yours to publish")
    notes = git.run("tag", "--list", "--format=%(contents)", version)
    on_host = _on_github if where.job.host == "github" else _on_gitlab
    return f"Published {on_host(where, version, archive, notes)}"


def _on_github(where: Host, version: str, archive: Path, notes: str) -> str:
    """A release of the tag; its archive replaces one of the same name."""
    release = where.find(f"releases/tags/{version}")
    if release is None:
        text = {"tag_name": version, "name": version, "body": notes}
        release = where.call("POST", "releases", text)
    for asset in release.get("assets", []):
        if asset["name"] == archive.name:
            where.call("DELETE", f"releases/assets/{asset['id']}")
    address = release["upload_url"].partition("{")[0]
    where.call("POST", address, archive.read_bytes(), name=archive.name)
    return str(release["html_url"])


def _on_gitlab(where: Host, version: str, archive: Path, notes: str) -> str:
    """A generic package, and a release of the tag that links to it."""
    path = f"packages/generic/model/{version}/{archive.name}"
    where.call("PUT", path, archive.read_bytes())
    if where.find(f"releases/{version}") is None:
        link = {"name": archive.name, "url": f"{where.api}/{path}", "link_type": "package"}
        text = {"tag_name": version, "name": version, "description": notes}
        where.call("POST", "releases", {**text, "assets": {"links": [link]}})
    return f"{where.api}/{path}"
