"""What can go wrong between a program and the server."""

from __future__ import annotations

from typing import Any, Mapping


class NeedleError(Exception):
    """The server refused a request or failed, and said why."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        #: Stable; docs/api.md of the server lists all codes.
        self.code: str = str(problem.get("code", ""))
        self.title: str = str(problem.get("title", ""))
        self.detail: str = str(problem.get("detail", ""))
        #: Finds the cause in the server's log.
        self.request_id: str = str(problem.get("request_id", ""))
        #: Seconds to wait before the next attempt, where the server says so.
        self.retry_after = retry_after
        super().__init__(self.detail or self.title or f"the server answered {status}")


class NeedleUnreachable(ConnectionError):
    """No answer, or none that a Needle server gives."""
