"""Mine wrong passages that look right: BM25 over all passages of a corpus.

The ranking function is BM25 with the usual k1 = 1.2 and b = 0.75 (Robertson and
Zaragoza 2009). It is written out here because a few thousand passages fit into
one sparse table, and because the negatives must not change when a search
library changes.
"""

import re
import string
from collections import Counter

import numpy

K1 = 1.2
B = 0.75
WORD = re.compile(r"\w+")
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def words(text):
    """Split a text into the words that BM25 counts."""
    return WORD.findall(text.lower())


def plain(text):
    """Normalise a text as SQuAD's metric does: no case, articles, punctuation or extra spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


class BM25:
    """An inverted index in memory. Safe for concurrent reads."""

    # A word of more than this share of the passages tells nothing about any of
    # them, and its posting list is what a query would spend its time on.
    COMMON = 0.2

    def __init__(self, passages):
        counts = [Counter(words(passage)) for passage in passages]
        lengths = numpy.array([sum(count.values()) for count in counts], dtype=numpy.float32)
        self.size = len(passages)
        lists = {}
        for index, count in enumerate(counts):
            for word, times in count.items():
                lists.setdefault(word, []).append((index, times))
        norm = K1 * (1 - B + B * lengths / max(lengths.mean(), 1.0))
        self.postings = {}
        for word, pairs in lists.items():
            if len(pairs) > max(2, self.COMMON * self.size):
                continue
            where = numpy.array([index for index, _ in pairs])
            times = numpy.array([times for _, times in pairs], dtype=numpy.float32)
            weight = numpy.log(1 + (self.size - len(pairs) + 0.5) / (len(pairs) + 0.5))
            self.postings[word] = where, (weight * times * (K1 + 1) / (times + norm[where])).astype(numpy.float32)

    def scores(self, query):
        """Return the score of every passage: float32 [passages]."""
        result = numpy.zeros(self.size, dtype=numpy.float32)
        for word in set(words(query)):
            if word in self.postings:
                where, weights = self.postings[word]
                result[where] += weights
        return result

    def top(self, query, count):
        """Return the best passages that share a word with the query, best first; the lower index wins a tie."""
        scores = self.scores(query)
        order = numpy.argsort(-scores, kind="stable")[:count]
        return [int(index) for index in order if scores[index] > 0]


def negatives(queries, passages, depth=30, keep=10):
    """Return for each (question, gold passage, answers) up to keep passages that rank high and do not hold an answer.

    passages are texts, gold passages and results are indexes into them.
    """
    index = BM25(passages)
    texts = [f" {plain(passage)} " for passage in passages]
    result = []
    for question, gold, answers in queries:
        wanted = [f" {plain(answer)} " for answer in answers if plain(answer)]
        found = []
        for candidate in index.top(question, depth):
            if candidate != gold and not any(answer in texts[candidate] for answer in wanted):
                found.append(candidate)
                if len(found) == keep:
                    break
        result.append(found)
    return result
