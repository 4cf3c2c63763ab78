"""The client: a method for every operation of the server's OpenAPI file."""

from __future__ import annotations

import json
import ssl
import uuid
from http.client import HTTPException, HTTPResponse
from types import TracebackType
from typing import Any, BinaryIO, Iterable, Iterator, Mapping, Sequence, cast

from .errors import NeedleError, NeedleUnreachable
from .transport import Transport, events, segment
from .types import (
    AskResult,
    BulkResult,
    CompactReport,
    Document,
    DocumentInfo,
    Event,
    FileResult,
    Filter,
    Index,
    Key,
    OffsetUnit,
    PredictResult,
    PutResult,
    ReadDocument,
    RebuildStatus,
    RerankResult,
    RestoreReport,
    SearchResult,
    Status,
    StoredDocument,
)

#: The path of the index that the server is configured with.
DEFAULT = "_default"

#: Copied at once by backup.
BLOCK = 1 << 16

#: The most that one request of bulk holds.
BULK_LINES = 500
BULK_BYTES = 16 << 20


class Needle:
    """A connection to one server, for one thread at a time.

    Every method raises NeedleError when the server refuses or fails, and
    NeedleUnreachable when there is no answer. An index of "" is the configured
    one. A timeout counts for each wait for the network, not for the whole request.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        *,
        key: str | None = None,
        timeout: float | None = 60.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._http = Transport(base_url, key, timeout, ssl_context)

    def __enter__(self) -> Needle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._http.close()

    # Questions

    def ask(
        self,
        question: str,
        *,
        index: str = "",
        top_k: int = 0,
        filter: Filter | None = None,
        budget_ms: int = 0,
        offset_unit: OffsetUnit = "",
        include_rejected: bool = False,
        explain: bool = False,
        groups: Sequence[str] | None = None,
    ) -> AskResult:
        """Answer a question, or say that the index holds no answer."""
        body = _ask_body(question, index, top_k, filter, budget_ms, offset_unit, include_rejected, explain, groups)
        return cast(AskResult, self._http.json("POST", "/v1/ask", value=body, idempotent=True))

    def ask_stream(
        self,
        question: str,
        *,
        index: str = "",
        top_k: int = 0,
        filter: Filter | None = None,
        budget_ms: int = 0,
        offset_unit: OffsetUnit = "",
        include_rejected: bool = False,
        explain: bool = False,
        groups: Sequence[str] | None = None,
    ) -> Iterator[Event]:
        """Yield the candidates, then answers as they improve, then `complete`."""
        body = _ask_body(question, index, top_k, filter, budget_ms, offset_unit, include_rejected, explain, groups)
        body["stream"] = True
        response = self._http.send("POST", "/v1/ask", body=json.dumps(body).encode(), accept="text/event-stream", idempotent=True)
        ended = False
        for name, data in events(self._http.lines(response)):
            if name == "error":
                raise NeedleError(int(data.get("status", 500)), data)
            ended = name == "complete"
            yield {"event": name, "data": data}
        if not ended:
            raise NeedleUnreachable("the stream of events ends without its last one")

    def search(
        self,
        query: str,
        *,
        index: str = "",
        top_k: int = 0,
        filter: Filter | None = None,
        offset_unit: OffsetUnit = "",
        explain: bool = False,
        facets: Sequence[str | Mapping[str, Any]] = (),
        groups: Sequence[str] | None = None,
    ) -> SearchResult:
        """Find passages without reading them.

        facets counts the documents that match by values of metadata fields.
        """
        body = _given(query=query, index=index, top_k=top_k, filter=filter, offset_unit=offset_unit, explain=explain, facets=list(facets))
        if groups is not None:
            body["groups"] = list(groups)
        return cast(SearchResult, self._http.json("POST", "/v1/search", value=body, idempotent=True))

    def read(
        self,
        question: str,
        documents: Sequence[ReadDocument],
        *,
        top_k: int = 0,
        budget_ms: int = 0,
        offset_unit: OffsetUnit = "",
        include_rejected: bool = False,
    ) -> AskResult:
        """Answer a question from the given documents; nothing is stored."""
        body = _given(question=question, top_k=top_k, budget_ms=budget_ms, offset_unit=offset_unit, include_rejected=include_rejected)
        body["documents"] = list(documents)
        return cast(AskResult, self._http.json("POST", "/v1/read", value=body, idempotent=True))

    def rerank(self, query: str, documents: Sequence[str], *, top_n: int = 0, return_documents: bool = False) -> RerankResult:
        """Order texts by how well they answer a query."""
        body = _given(query=query, top_n=top_n, return_documents=return_documents)
        body["documents"] = list(documents)
        return cast(RerankResult, self._http.json("POST", "/v1/rerank", value=body, idempotent=True))

    def predict(self, head: str, texts: Sequence[str], *, model: str = "") -> PredictResult:
        """Return what a head of the reader's bundle, or of a named model, says of single texts."""
        body = _given(head=head, model=model)
        body["texts"] = list(texts)
        return cast(PredictResult, self._http.json("POST", "/v1/predict", value=body, idempotent=True))

    def add_feedback(
        self,
        question: str,
        verdict: str,
        *,
        index: str = "",
        document_id: str = "",
        answer: str = "",
        start: int = 0,
        end: int = 0,
        replaces_start: int = 0,
        replaces_end: int = 0,
        comment: str = "",
        user: str = "",
        model: str = "",
        generation: int = 0,
        idempotency_key: str | None = None,
    ) -> str:
        """Say whether an answer was right, and return the id of the feedback."""
        body = _given(
            question=question, verdict=verdict, index=index, document_id=document_id, answer=answer, start=start, end=end,
            replaces_start=replaces_start, replaces_end=replaces_end, comment=comment, user=user, model=model, generation=generation,
        )  # fmt: skip
        return cast(str, self._http.json("POST", "/v1/feedback", value=body, **_once(idempotency_key))["id"])

    def list_feedback(self, index: str = "", *, state: str = "", page: int = 50) -> Iterator[dict[str, Any]]:
        """Yield the questions that there is feedback about, the latest first."""
        after: str | None = None
        while True:
            query = {"index": index or None, "state": state or None, "limit": page, "after": after}
            answer = self._http.json("GET", "/v1/feedback", query=query, idempotent=True)
            yield from answer["cases"]
            after = answer.get("next")
            if after is None:
                return

    def get_feedback_case(self, case: str, index: str = "") -> dict[str, Any]:
        """Return one question and all that was said of it."""
        return cast(dict[str, Any], self._http.json("GET", "/v1/feedback/" + segment(case), query={"index": index or None}, idempotent=True))

    def review_feedback(self, ids: Sequence[str], decision: str, *, index: str = "", note: str = "") -> dict[str, Any]:
        """Decide whether feedback is right: accept, reject or reopen."""
        body = _given(index=index, decision=decision, note=note)
        body["ids"] = list(ids)
        return cast(dict[str, Any], self._http.json("POST", "/v1/feedback/review", value=body))

    def export_feedback(self, index: str = "", *, include: str = "settled") -> dict[str, Any]:
        """Return what feedback has settled as a data set in the format of SQuAD 2.0."""
        query = {"index": index or None, "include": include}
        return cast(dict[str, Any], self._http.json("GET", "/v1/feedback/export", query=query, idempotent=True))

    def export_feedback_beir(self, to: BinaryIO, index: str = "", *, include: str = "settled") -> int:
        """Write what feedback has settled as a ZIP archive in the form of BEIR."""
        query = {"index": index or None, "include": include, "format": "beir"}
        return self._copy(self._http.send("GET", "/v1/feedback/export", query=query, accept="application/zip", idempotent=True), to)

    def get_shadow(self) -> dict[str, Any]:
        """Return what a candidate did that answers a sample of live questions beside."""
        return cast(dict[str, Any], self._http.json("GET", "/v1/shadow", idempotent=True))

    def start_shadow(self, config: str, share: float) -> dict[str, Any]:
        """Have a candidate answer beside; `config` is YAML with the keys in which it differs."""
        return cast(dict[str, Any], self._http.json("PUT", "/v1/shadow", value={"config": config, "share": share}))

    def stop_shadow(self) -> dict[str, Any]:
        """Stop the candidate and return what it did."""
        return cast(dict[str, Any], self._http.json("DELETE", "/v1/shadow"))

    # Documents

    def list_documents(self, index: str = "", *, page: int = 100) -> Iterator[DocumentInfo]:
        """Yield all documents of an index in order of id, page by page."""
        after: str | None = None
        while True:
            answer = self._http.json("GET", _index(index) + "/documents", query={"after": after, "limit": page}, idempotent=True)
            yield from answer["documents"]
            after = answer.get("next")
            if after is None:
                return

    def get_document(self, index: str, document_id: str) -> StoredDocument:
        """Return a document; its `etag` is what `if_match` takes."""
        response = self._http.send("GET", _document(index, document_id), idempotent=True)
        document = cast(StoredDocument, json.loads(response.read()))
        if tag := response.headers.get("ETag"):
            document["etag"] = tag
        return document

    def add_document(self, index: str, document: Document, *, idempotency_key: str | None = None) -> PutResult:
        """Add or replace a document by the `id` that it has."""
        return cast(PutResult, self._http.json("POST", _index(index) + "/documents", value=_clean(document), **_once(idempotency_key)))

    def put_document(
        self,
        index: str,
        document_id: str,
        document: Document,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> PutResult:
        """Add or replace a document; if_none_match="*" only adds."""
        options = _once(idempotency_key)
        options["headers"].update({"If-Match": if_match, "If-None-Match": if_none_match})
        options["idempotent"] = if_match is None and if_none_match is None or options["idempotent"]
        return cast(PutResult, self._http.json("PUT", _document(index, document_id), value=_clean(document), **options))

    def delete_document(self, index: str, document_id: str, *, if_match: str | None = None, idempotency_key: str | None = None) -> None:
        """Delete a document, and with it all that came out of it."""
        options = _once(idempotency_key)
        options["headers"]["If-Match"] = if_match
        self._http.json("DELETE", _document(index, document_id), **options)

    def delete_documents(self, index: str, ids: Sequence[str], *, idempotency_key: str | None = None) -> int:
        """Delete documents by id, and return how many were there."""
        answer = self._http.json("POST", _index(index) + "/delete", value={"ids": list(ids)}, **_once(idempotency_key))
        return cast(int, answer["deleted"])

    def bulk(self, index: str, documents: Iterable[Document]) -> Iterator[BulkResult]:
        """Store documents, which need an `id`, and yield one result for each.

        The documents are taken as they are sent, some at once. What is wrong with
        one does not keep the others out.
        """
        begin = 0
        for batch in _batches(json.dumps(_clean(d), ensure_ascii=False).encode() + b"\n" for d in documents):
            response = self._http.send(
                "POST",
                _index(index) + "/bulk",
                body=b"".join(batch),
                content_type="application/x-ndjson",
                accept="application/x-ndjson",
                idempotent=True,  # a line that is sent again replaces the same document
            )
            for line in self._http.lines(response):
                if line.strip():
                    result = cast(BulkResult, json.loads(line))
                    if result["line"] > 0:
                        result["line"] += begin
                    yield result
            begin += len(batch)

    def upload_files(self, index: str, files: Mapping[str, bytes], *, groups: Sequence[str] = ()) -> list[FileResult]:
        """Index files of any format that the server reads, by name."""
        boundary = uuid.uuid4().hex
        parts: list[bytes] = []
        for group in groups:
            parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="groups"\r\n\r\n{group}\r\n'.encode())
        for name, data in files.items():
            # As browsers write names (WHATWG HTML, multipart/form-data).
            safe = name.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\nContent-Type: application/octet-stream\r\n\r\n'
            parts += [head.encode(), data, b"\r\n"]
        parts.append(f"--{boundary}--\r\n".encode())
        answer = self._http.json("POST", _index(index) + "/files", body=b"".join(parts), content_type="multipart/form-data; boundary=" + boundary)
        return cast(list[FileResult], answer["files"])

    # Indexes

    def list_indexes(self) -> list[Index]:
        """Return all indexes in order of name."""
        return cast(list[Index], self._http.json("GET", "/v1/indexes", idempotent=True)["indexes"])

    def get_index(self, index: str = "") -> Index:
        """Describe an index."""
        return cast(Index, self._http.json("GET", _index(index), idempotent=True))

    def create_index(self, index: str, *, idempotency_key: str | None = None) -> Index:
        """Make a new, empty index."""
        return cast(Index, self._http.json("PUT", _index(index), **_once(idempotency_key)))

    def delete_index(self, index: str, *, idempotency_key: str | None = None) -> None:
        """Delete an index and all that it holds."""
        self._http.json("DELETE", _index(index), **_once(idempotency_key))

    def compact_index(self, index: str = "") -> CompactReport:
        """Give back the space of what was deleted."""
        return cast(CompactReport, self._http.json("POST", _index(index) + "/compact"))

    def verify_index(self, index: str = "") -> None:
        """Read everything that is stored; raises NeedleError if something is damaged."""
        self._http.json("POST", _index(index) + "/verify", idempotent=True)

    def swap_index(self, index: str, with_index: str) -> None:
        """Exchange the names of two indexes."""
        self._http.json("POST", _index(index) + "/swap", value={"with": with_index})

    def declare_fields(self, index: str, fields: Mapping[str, str]) -> None:
        """Give metadata fields their types: keyword, number, date or boolean."""
        self._http.json("POST", _index(index) + "/fields", value={"fields": dict(fields)}, idempotent=True)

    def backup_index(self, index: str, to: BinaryIO) -> int:
        """Write a backup of an index to a file and return its size in bytes."""
        return self._copy(self._http.send("GET", _index(index) + "/backup", accept="application/gzip", idempotent=True), to)

    def restore_index(self, index: str, backup: BinaryIO, *, replace: bool = False) -> RestoreReport:
        """Make an index of a backup."""
        answer = self._http.json(
            "POST", _index(index) + "/restore", query={"replace": "true" if replace else None}, body=backup, content_type="application/gzip"
        )
        return cast(RestoreReport, answer)

    def rebuild_status(self, index: str = "") -> RebuildStatus:
        """Tell how far a rebuild is."""
        return cast(RebuildStatus, self._http.json("GET", _index(index) + "/rebuild", idempotent=True))

    def start_rebuild(self, index: str = "", *, split: bool = False) -> RebuildStatus:
        """Begin to make an index anew by the server's configuration."""
        return cast(RebuildStatus, self._http.json("POST", _index(index) + "/rebuild", value={"split": split}))

    # Models

    def list_models(self) -> list[dict[str, Any]]:
        """Describe the models that serve."""
        return cast(list[dict[str, Any]], self._http.json("GET", "/v1/models", idempotent=True)["models"])

    def use_model(
        self,
        bundle: str = "",
        *,
        precision: str = "",
        reset: bool = False,
        questions: Sequence[Mapping[str, Any]] = (),
        max_loss: float | None = None,
    ) -> dict[str, Any]:
        """Exchange the model that reads; it is checked before it serves."""
        body = _given(bundle=bundle, precision=precision, reset=reset)
        if questions:
            body["questions"] = list(questions)
        if max_loss is not None:
            body["max_loss"] = max_loss
        return cast(dict[str, Any], self._http.json("PUT", "/v1/models/reader", value=body))

    # Keys

    def list_keys(self) -> list[Key]:
        """List all keys without their secrets."""
        return cast(list[Key], self._http.json("GET", "/v1/keys", idempotent=True)["keys"])

    def create_key(
        self,
        name: str,
        roles: Sequence[str],
        *,
        groups: Sequence[str] = (),
        all_groups: bool = False,
        rate: float = 0,
        burst: int = 0,
        expires_at: str = "",
    ) -> Key:
        """Make a key. Its secret, `key`, cannot be had again."""
        body = _given(name=name, groups=list(groups), all_groups=all_groups, rate=rate, burst=burst, expires_at=expires_at)
        body["roles"] = list(roles)
        return cast(Key, self._http.json("POST", "/v1/keys", value=body))

    def revoke_key(self, key_id: str) -> Key:
        """End a key for good."""
        return cast(Key, self._http.json("DELETE", "/v1/keys/" + segment(key_id), idempotent=True))

    # Operations

    def _copy(self, response: HTTPResponse, to: BinaryIO) -> int:
        size = 0
        try:
            while block := response.read(BLOCK):
                size += to.write(block)
        except (OSError, HTTPException) as error:
            self.close()  # what was not read would be taken for the next answer
            raise NeedleUnreachable(f"the answer ends early, after {size} bytes: {error}") from error
        return size

    def healthz(self) -> Status:
        """Say that the process lives, and of which version it is."""
        return cast(Status, self._http.json("GET", "/healthz", idempotent=True))

    def readyz(self) -> Status:
        """Say whether questions can be answered; raises NeedleError if not."""
        return cast(Status, self._http.json("GET", "/readyz", idempotent=True))

    def metrics(self) -> str:
        """Return the metrics in the text format of Prometheus."""
        return self._http.send("GET", "/metrics", accept="text/plain", idempotent=True).read().decode()

    def openapi(self) -> dict[str, Any]:
        """Return the contract of the API."""
        return cast(dict[str, Any], self._http.json("GET", "/openapi.json", idempotent=True))


def _index(index: str) -> str:
    return "/v1/indexes/" + segment(index or DEFAULT)


def _document(index: str, document_id: str) -> str:
    if not document_id:
        raise ValueError("the document id is empty")
    return _index(index) + "/documents/" + segment(document_id)


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut lines into requests whose results the network can hold.

    The server answers while it reads, and nobody reads its answers before the
    request is sent.
    """
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == BULK_LINES or size + len(line) > BULK_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def _given(**members: Any) -> dict[str, Any]:
    """Leave out what has its default, which the server knows best."""
    return {k: v for k, v in members.items() if v or k in ("question", "query")}


def _clean(document: Document) -> dict[str, Any]:
    """A stored document can be sent back as it came."""
    return {k: v for k, v in document.items() if k != "etag"}


def _once(key: str | None) -> dict[str, Any]:
    """Options of a write that is done once, however often it is sent."""
    return {"headers": {"Idempotency-Key": key}, "idempotent": key is not None}


def _ask_body(
    question: str,
    index: str,
    top_k: int,
    filter: Filter | None,
    budget_ms: int,
    offset_unit: OffsetUnit,
    include_rejected: bool,
    explain: bool,
    groups: Sequence[str] | None,
) -> dict[str, Any]:
    body = _given(
        question=question, index=index, top_k=top_k, filter=filter, budget_ms=budget_ms, offset_unit=offset_unit,
        include_rejected=include_rejected, explain=explain,
    )  # fmt: skip
    if groups is not None:
        body["groups"] = list(groups)
    return body
