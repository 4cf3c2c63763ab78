"""Windows over long passages and the decoding of answer spans.

This is the reference that Needle's Go reader is held against, so the rule is
spelled out. A span is a pair of tokens i <= j of one window, both in the
passage, j - i < max_answer_tokens. Its score is start[i] + end[j] in float32.
The best span has the highest score over all windows; among equals the lowest
window, then the lowest start, then the lowest end. Its text is the passage from
the first code point of token i to the last of token j.
"""

from dataclasses import dataclass

import numpy

MAX_LENGTH = 384
STRIDE = 128
MAX_ANSWER_TOKENS = 30


@dataclass(frozen=True)
class Window:
    """One sequence: question and a stretch of the passage, special tokens included."""

    ids: numpy.ndarray  # int64 [tokens]
    type_ids: numpy.ndarray  # int64 [tokens]
    offsets: list  # code points of each token in its own text
    first: int  # passage tokens are first:last
    last: int

    def inputs(self, names):
        """Return the tensors [1, tokens] that a graph with these inputs wants."""
        all_inputs = {
            "input_ids": self.ids[None],
            "attention_mask": numpy.ones_like(self.ids)[None],
            "token_type_ids": self.type_ids[None],
        }
        return {name: all_inputs[name] for name in names}


@dataclass(frozen=True)
class Span:
    window: int
    start: int  # token in the window
    end: int  # token in the window, inclusive
    score: float
    text: str
    start_offset: int  # code points in the passage
    end_offset: int


def windows(tokenizer, question, passage, max_length=MAX_LENGTH, stride=STRIDE):
    """Cut a pair into windows as the Hugging Face tokenizer does."""
    encoded = tokenizer(
        question,
        passage,
        max_length=max_length,
        stride=stride,
        truncation="only_second",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    result = []
    for i, ids in enumerate(encoded["input_ids"]):
        inside = [k for k, sequence in enumerate(encoded.sequence_ids(i)) if sequence == 1]
        result.append(Window(
            ids=numpy.array(ids, dtype=numpy.int64),
            type_ids=numpy.array(encoded["token_type_ids"][i], dtype=numpy.int64),
            offsets=encoded["offset_mapping"][i],
            first=inside[0] if inside else len(ids),
            last=inside[-1] + 1 if inside else len(ids),
        ))
    return result


def best(passage, cut, logits, max_answer_tokens=MAX_ANSWER_TOKENS):
    """Return the best span, or None for a passage without tokens. logits are (start, end) of each window."""
    found = None
    for index, (window, (start, end)) in enumerate(zip(cut, logits)):
        start = start[window.first:window.last].astype(numpy.float32)
        end = end[window.first:window.last].astype(numpy.float32)
        count = len(start)
        if count == 0:
            continue
        scores = start[:, None] + end[None, :]
        length = numpy.arange(count)[None, :] - numpy.arange(count)[:, None]
        scores[(length < 0) | (length >= max_answer_tokens)] = -numpy.inf
        # argmax takes the first of equals in row order: lowest start, then
        # lowest end.
        i, j = divmod(int(scores.argmax()), count)
        if found is None or scores[i, j] > found.score:
            i_offset = window.offsets[window.first + i][0]
            j_offset = window.offsets[window.first + j][1]
            found = Span(index, window.first + i, window.first + j, scores[i, j], passage[i_offset:j_offset], i_offset, j_offset)
    return found
