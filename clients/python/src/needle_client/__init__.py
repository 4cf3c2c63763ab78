"""A typed client of the Needle question answering server.

    with Needle("http://127.0.0.1:8080", key="needle_...") as needle:
        print(needle.ask("Who designed the tower?")["answers"])
"""

from .client import Needle
from .errors import NeedleError, NeedleUnreachable
from .types import (
    Answer,
    AskResult,
    BulkResult,
    Candidate,
    Document,
    DocumentInfo,
    Event,
    FileResult,
    Filter,
    Index,
    Key,
    PutResult,
    RerankResult,
    SearchResult,
    StoredDocument,
)

__all__ = [
    "Answer",
    "AskResult",
    "BulkResult",
    "Candidate",
    "Document",
    "DocumentInfo",
    "Event",
    "FileResult",
    "Filter",
    "Index",
    "Key",
    "Needle",
    "NeedleError",
    "NeedleUnreachable",
    "PutResult",
    "RerankResult",
    "SearchResult",
    "StoredDocument",
]
