"""The responses of the stand-in for a code host's API."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from code_host import CodeHost, Request

REPOSITORY = "team/flights"
NUMBER = 7  # of the open pull request
USER = "github-actions[bot]"  # to whom the token belongs


def routed(host: "CodeHost", request: "Request") -> Any:
    """The document of the response; None for 404."""
    if request.place == "/api/graphql":
        return {"data": {"viewer": {"login": USER}}}
    if request.place == "/api/v4/version":
        return {"version": "17.0.0"}
    if request.place == "/api/v4/user":
        return _author(USER)
    for prefix, respond_as_host in (("/api/v3/repos", _github), ("/api/v4/projects", _gitlab)):
        if request.place.startswith(f"{prefix}/{REPOSITORY}/"):
            path = request.place.removeprefix(f"{prefix}/{REPOSITORY}/")
            for respond in (_issues, _comments, respond_as_host):
                if (document := respond(host, request, path)) is not None:
                    return document
    return None


def _issues(host: "CodeHost", request: "Request", path: str) -> Any:
    """Issues: GitHub's have a body and a state, GitLab's a description and a state_event."""
    fields = request.body or {}
    if path == "issues" and request.method == "POST":
        text = fields["body" if "v3" in request.place else "description"]
        return _issue(host.file(fields["title"], text, USER))
    if path == "issues":
        assert request.query["state"] == ("open" if "v3" in request.place else "opened")
        issues = [_issue(issue) for issue in host.issues if issue["state"] == "open"]
        return _page(issues, request.query, 20)
    match = re.fullmatch(r"issues/(\d{3})(/comments|/notes)?", path)
    if not match:
        return None
    issue = next(issue for issue in host.issues if str(issue["number"]) == match[1])
    if match[2]:
        issue["comments"].append(fields["body"])
    elif request.method == "PATCH":
        issue.update(fields)
    else:
        issue["body"] = fields.get("description", issue["body"])
        issue["state"] = "closed" if fields.get("state_event") == "close" else issue["state"]
    return _issue(issue)


def _issue(issue: dict[str, Any]) -> dict[str, Any]:
    """An issue with the fields of both hosts."""
    author = _author(issue["user"]["login"])
    return {**issue, "iid": issue["number"], "description": issue["body"], "author": author}


def _comments(host: "CodeHost", request: "Request", path: str) -> Any:
    """GitHub's comments and GitLab's notes, which come newest first unless sorted."""
    comments, notes = f"issues/{NUMBER}/comments", f"merge_requests/{NUMBER}/notes"
    if match := re.fullmatch(rf"(?:issues/comments|{notes})/(\d+)", path):
        return host.edit(match[1], request.body["body"])
    if path not in (comments, notes):
        return None
    if request.method == "POST":
        return host.say(request.body["body"], USER)
    ascending = path == comments or request.query.get("sort") == "asc"
    posts = host.comments if ascending else host.comments[::-1]
    posts = [{**post, "author": _author(post["user"]["login"])} for post in posts]
    return _page(posts, request.query, 30 if path == comments else 20)


def _github(host: "CodeHost", request: "Request", path: str) -> Any:
    """Pull requests and releases."""
    if path == "pulls" and request.method == "GET":
        branch = request.query["head"].removeprefix(f"{REPOSITORY.partition('/')[0]}:")
        return [pull for pull in host.pulls if pull["head"] == branch]
    if path == "pulls":
        number = len(host.pulls) + 1
        address = f"{host.url}/{REPOSITORY}/pull/{number}"
        host.pulls.append({**request.body, "number": number, "html_url": address})
        return host.pulls[-1]
    if match := re.fullmatch(r"pulls/(\d+)", path):
        host.pulls[int(match[1]) - 1].update(request.body)
        return host.pulls[int(match[1]) - 1]
    if path.startswith("releases/tags/"):
        return host.releases.get(path.rpartition("/")[2])
    if path == "releases":
        return _released(host, request.body)
    if match := re.fullmatch(r"upload/(.*)", path):
        assets = host.releases[match[1]]["assets"]
        assets.append({"id": len(host.files) + 1, "name": request.query["name"]})
        host.files[str(assets[-1]["id"])] = request.body
        return assets[-1]
    if match := re.fullmatch(r"releases/assets/(\d+)", path):
        for release in host.releases.values():
            assets = [asset for asset in release["assets"] if str(asset["id"]) != match[1]]
            release["assets"] = assets
        return {}
    return None


def _gitlab(host: "CodeHost", request: "Request", path: str) -> Any:
    """Merge requests, packages and releases."""
    if path == "merge_requests" and request.method == "GET":
        branch = request.query["source_branch"]
        return [pull for pull in host.pulls if pull["source_branch"] == branch]
    if path == "merge_requests":
        number = len(host.pulls) + 1
        address = f"{host.url}/{REPOSITORY}/-/merge_requests/{number}"
        host.pulls.append({**request.body, "iid": number, "web_url": address})
        return host.pulls[-1]
    if match := re.fullmatch(r"merge_requests/(\d+)", path):
        host.pulls[int(match[1]) - 1].update(request.body)
        return host.pulls[int(match[1]) - 1]
    if path.startswith("packages/") and request.method == "PUT":
        host.files[path] = request.body
        return {"message": "201 Created"}
    if path == "releases" and request.method == "POST":
        return _released(host, request.body)
    return host.releases.get(path.rpartition("/")[2])


def _released(host: "CodeHost", fields: dict[str, Any]) -> dict[str, Any]:
    tag = fields["tag_name"]
    upload = f"{host.url}/api/v3/repos/{REPOSITORY}/upload/{tag}"
    urls = {"html_url": f"{host.url}/{tag}", "upload_url": upload + "{?name,label}"}
    return host.releases.setdefault(tag, {"assets": [], **fields, **urls})


def _page(comments: list[Any], query: dict[str, str], default: int) -> list[Any]:
    size, page = int(query.get("per_page", default)), int(query.get("page", 1))
    return comments[(page - 1) * size : page * size]


def _author(login: str) -> dict[str, Any]:
    """A user, as GitLab describes them."""
    return {"id": int(login == USER), "username": login}
