"""What schemathesis cannot make by itself: lines of JSON, and backups."""

import gzip
import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """A text is lines already; anything else becomes one line."""
    if isinstance(value, str):
        # Half of the texts become the text of a document, so that some get in.
        if len(value) % 2:
            return (json.dumps({"id": "bulk", "text": value or "x"}) + "\n").encode("utf-8", "surrogatepass")
        return value.encode("utf-8", "surrogatepass")
    return (json.dumps(value) + "\n").encode()


@schemathesis.serializer("application/gzip")
def backup(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """What looks like a backup from afar."""
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    return gzip.compress(b'{"format":1}\n' + data) if len(data) % 2 else data
