"""Haystack from question to answer: a question a line of JSON in, an answer a line of JSON out.

    python haystack_peer.py CHECKPOINT CORPUS.jsonl

Everything that a user does not set is left at its default, but for the number
of paragraphs that are retrieved and read.
"""

import json
import os
import sys
import time

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402  (the environment must be set first)
from haystack import Document  # noqa: E402
from haystack.components.readers import ExtractiveReader  # noqa: E402
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever  # noqa: E402
from haystack.document_stores.in_memory import InMemoryDocumentStore  # noqa: E402
from haystack.utils import ComponentDevice  # noqa: E402

TOP = 10


def main():
    checkpoint, corpus = sys.argv[1:]
    torch.set_num_threads(os.cpu_count())
    store = InMemoryDocumentStore()
    with open(corpus, encoding="utf-8") as file:
        store.write_documents([Document(id=d["id"], content=d["text"]) for d in map(json.loads, file)])
    retriever = InMemoryBM25Retriever(document_store=store, top_k=TOP)
    reader = ExtractiveReader(model=checkpoint, device=ComponentDevice.from_str("cpu"))
    reader.warm_up()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        begin = time.monotonic()
        documents = retriever.run(query=question)["documents"]
        between = time.monotonic()
        answers = reader.run(query=question, documents=documents)["answers"]
        end = time.monotonic()
        best = max(answers, key=lambda a: a.score, default=None)
        print(json.dumps({
            "retrieved": [d.id for d in documents], "answer": best.data or "" if best else "",
            "retrieve_ms": 1000 * (between - begin), "read_ms": 1000 * (end - between),
        }), flush=True)


if __name__ == "__main__":
    main()
