import numpy

import parity
import spans
import squad


def example():
    random = numpy.random.default_rng(5)
    count = 12
    ids = random.integers(0, 100, size=count)
    window = spans.Window(ids, numpy.zeros_like(ids), [(k, k + 1) for k in range(count)], 3, count - 1)
    logits = tuple(random.normal(size=(2, count)).astype(numpy.float32))
    return squad.Pair("1", "?", "x" * count), [window], [logits]


def test_packing_keeps_four_digits():
    values = numpy.random.default_rng(2).normal(scale=8, size=1000).astype(numpy.float32)
    assert abs(parity.unpack(parity.pack(parity.rounded(values))) - values).max() < parity.TOLERANCE / 20


def test_equal_logits_have_no_faults():
    pair, cut, logits = example()
    line = parity.entry("f", pair, cut, logits)
    worst, faults = parity.compare(line, pair, cut, logits, parity.TOLERANCE)
    assert faults == [] and worst < parity.TOLERANCE / 20


def test_a_changed_logit_is_a_fault():
    pair, cut, logits = example()
    line = parity.entry("f", pair, cut, logits)
    logits[0][0][0] += 2 * parity.TOLERANCE
    assert "logits differ" in parity.compare(line, pair, cut, logits, parity.TOLERANCE)[1][0]


def test_another_answer_is_a_fault():
    pair, cut, logits = example()
    line = parity.entry("f", pair, cut, logits)
    logits[0][0][10] += 100
    assert "the answer is" in parity.compare(line, pair, cut, logits, parity.TOLERANCE)[1][1]


def test_another_token_is_a_fault():
    pair, cut, logits = example()
    line = parity.entry("f", pair, cut, logits)
    cut[0].ids[4] += 1
    assert "windows" in parity.compare(line, pair, cut, logits, parity.TOLERANCE)[1][0]
