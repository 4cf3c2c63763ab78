"""One connection to a server, and the form of requests and answers."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, BinaryIO, Iterable, Iterator, Mapping
from urllib.parse import quote, urlencode, urlsplit

from .errors import NeedleError, NeedleUnreachable

Body = bytes | Iterable[bytes] | BinaryIO

#: The longest error body that is read.
MAX_PROBLEM = 1 << 20


def segment(text: str) -> str:
    """Write any text as one segment of a path.

    Slashes are escaped too: "a/../b" must arrive as it is, although proxies tidy
    paths up.
    """
    if text in (".", ".."):
        return text.replace(".", "%2E")
    return quote(text, safe="")


class Transport:
    """Sends requests one after the other over a connection that is kept."""

    def __init__(self, base_url: str, key: str | None, timeout: float | None, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"server address: {base_url!r}; allowed is http://HOST:PORT or https://HOST:PORT")
        self._prefix = parts.path.rstrip("/")
        self._key = key
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self._address = base_url

    def close(self) -> None:
        self._connection.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Body | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str | None] | None = None,
        idempotent: bool = False,
    ) -> http.client.HTTPResponse:
        """Return a successful answer whose body is not read yet.

        A request that changes nothing when it is sent twice is sent again if the
        server closed the kept connection meanwhile.
        """
        target = self._prefix + path
        if query and (known := {k: v for k, v in query.items() if v is not None}):
            target += "?" + urlencode(known)
        sent = {"Accept": accept + ", application/problem+json", "User-Agent": "needle-client-python"}
        if self._key:
            sent["Authorization"] = "Bearer " + self._key
        if body is not None:
            sent["Content-Type"] = content_type
        sent.update({k: v for k, v in (headers or {}).items() if v is not None})
        again = idempotent and (body is None or isinstance(body, bytes)) and self._connection.sock is not None
        try:
            response = self._exchange(method, target, body, sent)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self._connection.close()
            if not again:
                raise NeedleUnreachable(f"{method} {self._address}{path}: {error}") from error
            try:
                response = self._exchange(method, target, body, sent)
            except (OSError, http.client.HTTPException) as second:
                self._connection.close()
                raise NeedleUnreachable(f"{method} {self._address}{path}: {second}") from second
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NeedleUnreachable(f"{method} {self._address}{path}: {error}") from error
        if response.status < 300 or response.status == 304:
            return response
        raise self._problem(response)

    def _exchange(self, method: str, target: str, body: Body | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        chunked = body is not None and not isinstance(body, bytes)
        self._connection.request(method, target, body=body, headers=headers, encode_chunked=chunked)
        return self._connection.getresponse()

    def _problem(self, response: http.client.HTTPResponse) -> Exception:
        data = response.read(MAX_PROBLEM)
        if response.length:
            self._connection.close()
        try:
            problem = json.loads(data)
        except ValueError:
            problem = None
        if not isinstance(problem, dict) or "code" not in problem:
            return NeedleUnreachable(f"{self._address}: answered {response.status}, which is no answer of Needle")
        wait = response.headers.get("Retry-After", "")
        return NeedleError(response.status, problem, float(wait) if wait.isdigit() else None)

    def json(self, method: str, path: str, *, value: Any = None, **options: Any) -> Any:
        """Send a value and decode the answer; an answer without body is None."""
        if value is not None:
            options["body"] = json.dumps(value, ensure_ascii=False).encode()
        data = self.send(method, path, **options).read()
        return json.loads(data) if data else None

    def lines(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield the lines of an answer as they come.

        A reader that stops early ends the connection, because what it did not
        read cannot be told from the next answer.
        """
        done = False
        try:
            while line := response.readline():
                yield line
            done = True
        except (OSError, http.client.HTTPException) as error:
            raise NeedleUnreachable(f"{self._address}: the answer ends early: {error}") from error
        finally:
            if not done:
                self._connection.close()


def events(lines: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """Read server-sent events."""
    name = "message"
    data: list[str] = []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if data:
                yield name, json.loads("\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
