"""The objects of the API. A key that the server may leave out is NotRequired."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict, Union

Value = Union[str, int, float, bool]
Metadata = dict[str, Union[Value, list[str]]]
OffsetUnit = Literal["", "codepoint", "byte", "utf16"]

# "in", "and", "or" and "not" are words of Python, so this form is needed.
Filter = TypedDict(
    "Filter",
    {
        "and": list["Filter"],
        "or": list["Filter"],
        "not": "Filter",
        "field": str,
        "equals": Value,
        "in": list[Value],
        "exists": bool,
        "gt": Union[str, int, float],
        "gte": Union[str, int, float],
        "lt": Union[str, int, float],
        "lte": Union[str, int, float],
    },
    total=False,
)


class SourceRef(TypedDict, total=False):
    uri: str
    media_type: str
    page: int
    headings: list[str]
    start: int
    end: int


class ModelRef(TypedDict):
    name: str
    hash: str
    precision: NotRequired[str]


class Answer(TypedDict):
    """A stretch of a document: `text` is the document's text from start to end."""

    text: str
    probability: float
    document_id: str
    title: NotRequired[str]
    start: int
    end: int
    context: str
    context_start: int
    context_end: int
    source: SourceRef
    scores: dict[str, float]


class Candidate(TypedDict):
    """A passage that was found."""

    passage_id: str
    document_id: str
    title: NotRequired[str]
    start: int
    end: int
    text: str
    source: SourceRef
    metadata: NotRequired[Metadata]
    scores: dict[str, float]
    terms: NotRequired[list[dict[str, Any]]]


class AskResult(TypedDict):
    question: str
    answerable: bool
    no_answer_probability: float
    answers: list[Answer]
    rejected: NotRequired[list[Answer]]
    candidates: NotRequired[list[Candidate]]
    candidates_read: int
    complete: bool
    calibrated: bool
    truncated: bool
    vector_coverage: NotRequired[float]
    warnings: list[str]
    timings_ms: dict[str, float]
    model: ModelRef
    index: str
    generation: int


class SearchResult(TypedDict):
    query: str
    hits: list[Candidate]
    terms: list[str]
    facets: NotRequired[Any]
    matched_documents: NotRequired[int]
    vector_coverage: NotRequired[float]
    warnings: list[str]
    timings_ms: dict[str, float]
    index: str
    generation: int


class ReadDocument(TypedDict):
    id: NotRequired[str]
    title: NotRequired[str]
    text: str


class RerankItem(TypedDict):
    index: int
    relevance_score: float
    document: NotRequired[dict[str, str]]


class RerankResult(TypedDict):
    results: list[RerankItem]
    score: str
    truncated: bool
    warnings: list[str]
    model: str
    model_hash: str
    timings_ms: dict[str, float]


class Event(TypedDict):
    """One event of a streamed answer.

    `candidates` has an object with `candidates`, `answers` and `complete` have an
    AskResult.
    """

    event: str
    data: dict[str, Any]


class Source(TypedDict, total=False):
    uri: str
    media_type: str
    modified_at: str
    text_offset: int
    verbatim: bool


class Section(TypedDict):
    start: int
    headings: list[str]


class Document(TypedDict):
    """A document to be stored."""

    id: NotRequired[str]
    title: NotRequired[str]
    text: str
    metadata: NotRequired[Metadata]
    groups: NotRequired[list[str]]
    language: NotRequired[str]
    source: NotRequired[Source]
    sections: NotRequired[list[Section]]
    pages: NotRequired[list[int]]


class StoredDocument(Document):
    """A document as the server gives it, with the tag that If-Match takes."""

    etag: NotRequired[str]


class DocumentInfo(TypedDict):
    id: str
    title: NotRequired[str]
    content_hash: NotRequired[str]
    passages: int
    length: int
    indexed_at: NotRequired[str]
    source: NotRequired[Source]
    groups: NotRequired[list[str]]


class PutResult(TypedDict):
    id: str
    status: Literal["created", "updated", "unchanged"]
    passages: int
    generation: int


class BulkResult(TypedDict):
    line: int
    id: NotRequired[str]
    status: Literal["created", "updated", "unchanged", "refused", "aborted"]
    passages: NotRequired[int]
    generation: NotRequired[int]
    error: NotRequired[dict[str, Any]]


class FileResult(TypedDict):
    file: str
    documents: list[PutResult]
    faults: list[dict[str, Any]]


class Index(TypedDict):
    name: str
    documents: int
    passages: int
    generation: int
    bytes: int
    analyzer: str
    k1: float
    b: float
    average_length: float
    outdated: NotRequired[list[str]]
    fields: NotRequired[dict[str, str]]
    vectors: NotRequired[list[dict[str, Any]]]
    restricted: NotRequired[bool]


class Key(TypedDict):
    id: str
    name: str
    roles: list[str]
    groups: NotRequired[list[str]]
    all_groups: NotRequired[bool]
    rate: NotRequired[float]
    burst: NotRequired[int]
    created_at: str
    created_by: NotRequired[str]
    expires_at: NotRequired[str]
    revoked_at: NotRequired[str]
    status: Literal["valid", "expired", "revoked"]
    #: The secret, in the answer that makes the key and nowhere else.
    key: NotRequired[str]


class CompactReport(TypedDict):
    index: str
    bytes_before: int
    bytes_after: int


RestoreReport = TypedDict(
    "RestoreReport",
    {"index": str, "from": str, "created": NotRequired[str], "documents": int, "passages": int, "replaced": bool},
)


class RebuildStatus(TypedDict):
    index: str
    state: Literal["none", "running", "done", "failed"]
    done: int
    total: int
    started: NotRequired[str]
    ended: NotRequired[str]
    report: NotRequired[dict[str, Any]]
    error: NotRequired[str]


class PredictResult(TypedDict):
    head: str
    predictions: list[dict[str, Any]]
    truncated: bool
    model: ModelRef
    timings_ms: dict[str, float]


class Status(TypedDict):
    status: str
    version: NotRequired[str]
