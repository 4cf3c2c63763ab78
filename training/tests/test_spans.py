import itertools

import numpy
import pytest

import spans


def window(count, first, last):
    """A window whose token k stands for code point k of the passage."""
    zeros = numpy.zeros(count, dtype=numpy.int64)
    return spans.Window(zeros, zeros, [(max(k - first, 0), max(k - first, 0) + 1) for k in range(count)], first, last)


def slow_best(cut, logits, limit):
    """The rule of spans.py, written as a search in the order of the ties."""
    found = None
    for index, (w, (start, end)) in enumerate(zip(cut, logits)):
        for i, j in itertools.product(range(w.first, w.last), repeat=2):
            if i <= j < i + limit and (found is None or start[i] + end[j] > found[0]):
                found = (start[i] + end[j], index, i, j)
    return found


@pytest.mark.parametrize("limit", [1, 3, 30])
def test_best_agrees_with_search(limit):
    random = numpy.random.default_rng(7)
    for _ in range(50):
        cut = [window(count, 3, count - 1) for count in random.integers(5, 20, size=3)]
        # Few distinct values, so that ties are common.
        logits = [tuple(random.integers(-3, 3, size=(2, len(w.ids))).astype(numpy.float32)) for w in cut]
        got = spans.best("x" * 30, cut, logits, limit)
        assert (got.score, got.window, got.start, got.end) == slow_best(cut, logits, limit)


def test_best_ignores_tokens_outside_the_passage():
    logits = numpy.array([9, 9, 0, 1, 0, 9], dtype=numpy.float32)
    got = spans.best("abc", [window(6, 2, 5)], [(logits, logits)])
    assert (got.start, got.end, got.text) == (3, 3, "b")


def test_best_of_an_empty_passage():
    logits = numpy.zeros(4, dtype=numpy.float32)
    assert spans.best("", [window(4, 3, 3)], [(logits, logits)]) is None
