"""code_host_api: a request to the stand-in of a code host in; the document of its answer out."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from code_host import CodeHost, Request

REPOSITORY = "team/flights"
NUMBER = 7  # of the pull request that is open
USER = "github-actions[bot]"  # whose token it is
PAGE = 100  # comments that GraphQL gives at once


def routed(host: "CodeHost", request: "Request") -> Any:
    """The document of the answer; None for 404."""
    if request.place == "/api/graphql":
        return _graphql(host, request.body)
    if request.place == "/api/v4/version":
        return {"version": "17.0.0"}
    if request.place == "/api/v4/user":
        return _author(USER)
    for prefix, answer in (("/api/v3/repos", _github), ("/api/v4/projects", _gitlab)):
        if request.place.startswith(f"{prefix}/{REPOSITORY}/"):
            path = request.place.removeprefix(f"{prefix}/{REPOSITORY}/")
            said = _issues(host, request, path)
            said = _conversation(host, request, path) if said is None else said
            return answer(host, request, path) if said is None else said
    return None


def _issues(host: "CodeHost", request: "Request", path: str) -> Any:
    """Issues: GitHub's have a body and a state, GitLab's a description and a state_event."""
    asked = request.body or {}
    if path == "issues" and request.method == "POST":
        text = asked["body" if "v3" in request.place else "description"]
        return _issue(host.file(asked["title"], text, USER))
    if path == "issues":
        assert request.query["state"] == "opened"
        listed = [_issue(each) for each in host.issues if each["state"] == "open"]
        return _page(listed, request.query, 20)
    found = re.fullmatch(r"issues/(\d{3})(/comments|/notes)?", path)
    if not found:
        return None
    issue = next(each for each in host.issues if str(each["number"]) == found[1])
    if found[2]:
        issue["said"].append(asked["body"])
    elif request.method == "PATCH":
        issue.update(asked)
    else:
        issue["body"] = asked.get("description", issue["body"])
        issue["state"] = "closed" if asked.get("state_event") == "close" else issue["state"]
    return _issue(issue)


def _issue(issue: dict[str, Any]) -> dict[str, Any]:
    """An issue, as GitLab has it."""
    author = _author(issue["user"]["login"])
    return {"iid": issue["number"], "description": issue["body"], "author": author}


def _conversation(host: "CodeHost", request: "Request", path: str) -> Any:
    """The comments of GitHub, and the notes of GitLab, that has its newest first."""
    comments, notes = f"issues/{NUMBER}/comments", f"merge_requests/{NUMBER}/notes"
    if found := re.fullmatch(rf"(?:issues/comments|{notes})/(\d+)", path):
        return host.edit(found[1], request.body["body"])
    if path not in (comments, notes):
        return None
    if request.method == "POST":
        return host.say(request.body["body"], USER)
    rising = path == comments or request.query.get("sort") == "asc"
    all_comments = host.comments if rising else host.comments[::-1]
    all_comments = [{**each, "author": _author(each["user"]["login"])} for each in all_comments]
    return _page(all_comments, request.query, 30 if path == comments else 20)


def _github(host: "CodeHost", request: "Request", path: str) -> Any:
    """Pull requests and releases."""
    if path == "pulls" and request.method == "GET":
        branch = request.query["head"].removeprefix(f"{REPOSITORY.partition('/')[0]}:")
        return [each for each in host.pulls if each["head"] == branch]
    if path == "pulls":
        number = len(host.pulls) + 1
        address = f"{host.url}/{REPOSITORY}/pull/{number}"
        host.pulls.append({**request.body, "number": number, "html_url": address})
        return host.pulls[-1]
    if found := re.fullmatch(r"pulls/(\d+)", path):
        host.pulls[int(found[1]) - 1].update(request.body)
        return host.pulls[int(found[1]) - 1]
    if path.startswith("releases/tags/"):
        return host.releases.get(path.rpartition("/")[2])
    if path == "releases":
        return _released(host, request.body)
    if found := re.fullmatch(r"upload/(.*)", path):
        assets = host.releases[found[1]]["assets"]
        assets.append({"id": len(host.files) + 1, "name": request.query["name"]})
        host.files[str(assets[-1]["id"])] = request.body
        return assets[-1]
    if found := re.fullmatch(r"releases/assets/(\d+)", path):
        for release in host.releases.values():
            kept = [each for each in release["assets"] if str(each["id"]) != found[1]]
            release["assets"] = kept
        return {}
    return None


def _gitlab(host: "CodeHost", request: "Request", path: str) -> Any:
    """Merge requests, packages and releases."""
    if path == "merge_requests" and request.method == "GET":
        branch = request.query["source_branch"]
        return [each for each in host.pulls if each["source_branch"] == branch]
    if path == "merge_requests":
        number = len(host.pulls) + 1
        address = f"{host.url}/{REPOSITORY}/-/merge_requests/{number}"
        host.pulls.append({**request.body, "iid": number, "web_url": address})
        return host.pulls[-1]
    if found := re.fullmatch(r"merge_requests/(\d+)", path):
        host.pulls[int(found[1]) - 1].update(request.body)
        return host.pulls[int(found[1]) - 1]
    if path.startswith("packages/") and request.method == "PUT":
        host.files[path] = request.body
        return {"message": "201 Created"}
    if path == "releases" and request.method == "POST":
        return _released(host, request.body)
    return host.releases.get(path.rpartition("/")[2])


def _released(host: "CodeHost", asked: dict[str, Any]) -> dict[str, Any]:
    upload = f"{host.url}/api/v3/repos/{REPOSITORY}/upload/{asked['tag_name']}"
    place = {"html_url": f"{host.url}/{asked['tag_name']}", "upload_url": upload + "{?name,label}"}
    return host.releases.setdefault(asked["tag_name"], {"assets": [], **asked, **place})


def _page(comments: list[Any], query: dict[str, str], default: int) -> list[Any]:
    size, page = int(query.get("per_page", default)), int(query.get("page", 1))
    return comments[(page - 1) * size : page * size]


def _graphql(host: "CodeHost", asked: dict[str, Any]) -> dict[str, Any]:
    """The comments of the pull request, or the open issues, a page at a time."""
    start = int(asked["variables"]["after"] or 0)
    of_issues = "issues(" in asked["query"]
    opened = [each for each in host.issues if each["state"] == "open"]
    every = opened if of_issues else host.comments
    nodes = [_node(each) for each in every[start : start + PAGE]]
    page = {"hasNextPage": start + PAGE < len(every), "endCursor": str(start + PAGE)}
    connection = {"nodes": nodes, "pageInfo": page}
    found = {"issues": connection} if of_issues else {"pullRequest": {"comments": connection}}
    return {"data": {"repository": found}}


def _author(login: str) -> dict[str, Any]:
    """Somebody, as GitLab names them: the number is what counts."""
    return {"id": int(login == USER), "username": login}


def _node(comment: dict[str, Any]) -> dict[str, Any]:
    """What is asked for of a comment, by us and by CML, or of an issue."""
    number = comment.get("id", comment.get("number"))
    return {
        "id": number,
        "databaseId": number,
        "author": {"login": comment["user"]["login"]},
        "body": comment["body"],
        "url": comment.get("html_url"),
        "viewerDidAuthor": comment["user"]["login"] == USER,
    }
