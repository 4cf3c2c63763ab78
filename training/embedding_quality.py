"""Compare encoders as passage embeddings: how often is the gold paragraph among the nearest?

    python embedding_quality.py HELDOUT.json BUNDLE/model.fp32.onnx BUNDLE/model.int8.onnx ...

HELDOUT.json is a SQuAD file that nothing was trained on. Its questions (at even
distances) look for their paragraph among all of the file and others of SQuADShifts
(at even distances). Vectors are the mean of all hidden states, scaled to length 1;
each also with the paragraphs' rounded to int8, as Needle stores them. One
text at a time, one thread: int8 results depend on what else is in a call.
"""

import argparse
import json
import time
from pathlib import Path

import numpy
from tokenizers import Tokenizer

import squad
from quality import session


def texts(path):
    data = json.loads(Path(path).read_text(encoding="utf-8"))["data"]
    paragraphs = [p for article in data for p in article["paragraphs"]]
    return [p["context"] for p in paragraphs], [(q["question"], p["context"]) for p in paragraphs for q in p["qas"]]


def spread(items, count):
    return [items[i * len(items) // count] for i in range(count)] if count < len(items) else items


class Embedder:
    def __init__(self, graph, tokenizer, length):
        self.session = session(graph)
        self.inputs = {i.name for i in self.session.get_inputs()}
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(length)

    def __call__(self, text):
        encoding = self.tokenizer.encode(text)
        values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
        hidden = self.session.run(None, {k: numpy.array([v], dtype=numpy.int64) for k, v in values.items() if k in self.inputs})[0][0]
        mean = hidden.mean(axis=0)
        return mean / numpy.linalg.norm(mean)


def rounded(vectors):
    """Round to int8 with the greatest value of each vector at 127, and scale to length 1 again."""
    scaled = numpy.rint(vectors / numpy.abs(vectors).max(axis=1, keepdims=True) * 127)
    return scaled / numpy.linalg.norm(scaled, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heldout")
    parser.add_argument("graphs", nargs="+")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--others", type=int, default=1250)
    parser.add_argument("--length", type=int, default=256)
    args = parser.parse_args()
    paragraphs, questions = texts(args.heldout)
    known = set(paragraphs)
    others = []
    for path in sorted((squad.shared() / "data" / "squadshifts").glob("*.json")):
        others += [text for text in texts(path)[0] if text not in known]
    corpus = list(dict.fromkeys(paragraphs)) + spread(list(dict.fromkeys(others)), args.others)
    questions = spread(questions, args.questions)
    gold = numpy.array([corpus.index(context) for _, context in questions])
    for graph in args.graphs:
        embed = Embedder(graph, args.tokenizer, args.length)
        begin = time.process_time()
        passages = numpy.stack([embed(text) for text in corpus])
        seconds = time.process_time() - begin
        asked = numpy.stack([embed(question) for question, _ in questions])
        for store, vectors in (("float", passages), ("int8", rounded(passages))):
            scores = asked @ vectors.T
            rank = (scores > scores[numpy.arange(len(gold)), gold][:, None]).sum(axis=1)
            result = {"graph": f"{Path(graph).parent.name}/{Path(graph).name}", "stored": store, "passages": len(corpus), "questions": len(questions)}
            result |= {f"recall@{k}": round(float((rank < k).mean()), 4) for k in (1, 5, 10, 20, 50)}
            result["cpu_ms_a_passage"] = round(1e3 * seconds / len(corpus), 1)
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
