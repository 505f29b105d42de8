"""conversation: a pull request in, its comments out; one of them is edited, or one is added."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .host import Host, PAGES
from .job import Job

# REST does not tell the token of an app, such as a job's, which comments are its own.
COMMENTS = """\
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      comments(first: 100, after: $after) {
        nodes { id body viewerDidAuthor }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}"""
EDIT = """\
mutation($input: UpdateIssueCommentInput!) {
  updateIssueComment(input: $input) { issueComment { url } }
}"""


@dataclass(frozen=True)
class Comment:
    """One comment of the conversation."""

    id: str
    body: str
    mine: bool  # whoever the job's token belongs to has written it


class Conversation:
    """The comments of the job's pull request."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.host = Host(job)

    def comments(self) -> list[Comment]:
        """All comments, the oldest first. Raises FailedError."""
        return list(self._github() if self.job.host == "github" else self._gitlab())

    def write(self, body: str, comment: Comment | None) -> None:
        """Edit the comment, or add one. Raises FailedError."""
        if comment is None:
            self.host.call("POST", self._all, {"body": body})
        elif self.job.host == "github":
            self.host.query(EDIT, input={"id": comment.id, "body": body})
        else:
            self.host.call("PUT", f"{self._all}/{comment.id}", {"body": body})

    def _github(self) -> Iterator[Comment]:
        owner, _, name = self.job.repository.partition("/")
        after: Any = None
        for _ in range(PAGES):
            place = {"owner": owner, "name": name, "number": self.job.number, "after": after}
            found = self.host.query(COMMENTS, **place)
            page = found["repository"]["pullRequest"]["comments"]
            for each in page["nodes"]:
                yield Comment(each["id"], each["body"], each["viewerDidAuthor"])
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def _gitlab(self) -> Iterator[Comment]:
        me = self.host.call("GET", f"{self.job.api}/user")["id"]
        for each in self.host.pages(self._all, sort="asc", order_by="created_at"):
            yield Comment(str(each["id"]), each["body"], each["author"]["id"] == me)

    @property
    def _all(self) -> str:
        if self.job.host == "github":
            return f"issues/{self.job.number}/comments"
        return f"merge_requests/{self.job.number}/notes"
