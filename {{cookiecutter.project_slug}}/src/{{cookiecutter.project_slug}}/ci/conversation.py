"""conversation: a pull request in, its comments out; one of them is edited, or one is added."""

from dataclasses import dataclass

from .host import Host
from .job import Job


@dataclass(frozen=True)
class Comment:
    """One comment of the conversation."""

    id: int
    body: str


class Conversation:
    """The comments of the job's pull request."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.host = Host(job)

    def comments(self) -> list[Comment]:
        """All comments, the oldest first. Raises FailedError."""
        found = self.host.pages(self._all, sort="asc", order_by="created_at")
        return [Comment(each["id"], each.get("body") or "") for each in found]

    def write(self, body: str, comment: Comment | None) -> None:
        """Edit the comment, or add one. Raises FailedError."""
        if comment is None:
            self.host.call("POST", self._all, {"body": body})
        elif self.job.host == "github":
            self.host.call("PATCH", f"issues/comments/{comment.id}", {"body": body})
        else:
            self.host.call("PUT", f"{self._all}/{comment.id}", {"body": body})

    @property
    def _all(self) -> str:
        if self.job.host == "github":
            return f"issues/{self.job.number}/comments"
        return f"merge_requests/{self.job.number}/notes"
