"""tantivy and bm25s as peers of the benchmark: index a corpus, or answer questions from standard input, one a line.

Arguments: SYSTEM index|serve MODE STOPWORDS CORPUS DIR. MODE is stop or keep. The corpus has a line "id TAB text" a document.
"""

import os
import re
import sys
import time

TOP = 200
WORD = re.compile(r"\w+")


def lines(corpus):
    with open(corpus, encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n").split("\t", 1)


def stop_words(mode, path):
    with open(path, encoding="utf-8") as file:
        return set(file.read().split()) if mode == "stop" else set()


class Tantivy:
    def __init__(self, mode, stop, directory):
        import tantivy

        self.tantivy = tantivy
        self.stop = stop_words(mode, stop)
        self.directory = directory

    def open(self):
        t = self.tantivy
        schema = t.SchemaBuilder()
        schema.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
        schema.add_text_field("text", stored=True, tokenizer_name="bench", index_option="freq")
        os.makedirs(self.directory, exist_ok=True)
        index = t.Index(schema.build(), path=self.directory)
        analyzer = t.TextAnalyzerBuilder(t.Tokenizer.simple()).filter(t.Filter.lowercase())
        if self.stop:
            analyzer = analyzer.filter(t.Filter.custom_stopword(sorted(self.stop)))
        index.register_tokenizer("bench", analyzer.build())
        return index

    def index(self, corpus):
        index = self.open()
        writer = index.writer(heap_size=256 << 20, num_threads=os.cpu_count())
        for identifier, text in lines(corpus):
            writer.add_document(self.tantivy.Document(id=identifier, text=text))
        writer.commit()
        writer.wait_merging_threads()

    def serve(self):
        t = self.tantivy
        index = self.open()
        index.reload()
        searcher = index.searcher()
        schema = index.schema

        def ask(question):
            terms = [w for w in WORD.findall(question.lower()) if w not in self.stop]
            query = t.Query.boolean_query([(t.Occur.Should, t.Query.term_query(schema, "text", w, "freq")) for w in terms])
            hits = searcher.search(query, TOP, count=False).hits
            documents = [searcher.doc(address) for _, address in hits]
            return [d["id"][0] for d in documents], [d["text"][0] for d in documents]

        return ask


class BM25S:
    def __init__(self, mode, stop, directory):
        self.stop = stop_words(mode, stop)
        self.directory = directory

    def terms(self, text):
        return [w for w in WORD.findall(text.lower()) if w not in self.stop]

    def index(self, corpus):
        import bm25s
        import json

        ids, texts, vocabulary, tokens = [], [], {}, []
        for identifier, text in lines(corpus):
            ids.append(identifier)
            texts.append(text)
            tokens.append([vocabulary.setdefault(w, len(vocabulary)) for w in self.terms(text)])
        retriever = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
        retriever.index((tokens, vocabulary), show_progress=False)
        retriever.save(self.directory)
        with open(os.path.join(self.directory, "passages.json"), "w", encoding="utf-8") as file:
            json.dump([ids, texts], file)

    def serve(self):
        import bm25s
        import json

        retriever = bm25s.BM25.load(self.directory, mmap=False)
        retriever.backend = "numba"
        with open(os.path.join(self.directory, "passages.json"), encoding="utf-8") as file:
            ids, texts = json.load(file)

        def ask(question):
            found, scores = retriever.retrieve([self.terms(question)], k=TOP, show_progress=False, n_threads=1)
            hits = [int(n) for n, score in zip(found[0], scores[0]) if score > 0]
            return [ids[n] for n in hits], [texts[n] for n in hits]

        return ask


def main():
    system, what, mode, stop, corpus, directory = sys.argv[1:]
    peer = {"tantivy": Tantivy, "bm25s": BM25S}[system](mode, stop, directory)
    if what == "index":
        peer.index(corpus)
        return
    ask = peer.serve()
    for question in sys.stdin:
        start = time.perf_counter_ns()
        ids, _ = ask(question)
        took = time.perf_counter_ns() - start
        print(took, *ids, flush=True)


main()
