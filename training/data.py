"""Turn questions into training batches: positives, hard negatives, windows.

A *group* is one question with the passage that answers it and at most one pair
without an answer. Everything drawn at random depends on (seed, epoch, question)
alone, so a batch can be made again from its number: a resumed run needs no
stored data order.
"""

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy
import torch

import mining
import unanswerable

FILES = ("data/squadshifts/new_wiki.json", "data/squadshifts/amazon_reviews.json", "data/squadshifts/reddit.json")  # below the shared data
NULL = 0  # the token that stands for "no answer": [CLS]


@dataclass(frozen=True)
class Question:
    id: str
    text: str
    passage: int  # index into Corpus.passages
    answers: tuple  # (start, end) in code points of the passage, annotators in file order
    article: tuple  # passages of the same article, itself included
    raw: dict  # the entry as it stands in the file


@dataclass(frozen=True)
class Example:
    """One sequence to train on."""

    ids: list
    first: int  # passage tokens are first:last
    last: int
    start: int  # NULL when the passage has no answer
    end: int
    relevant: bool
    offsets: list  # (start, end) code points of each passage token


class Batch(NamedTuple):
    """Examples as tensors [sequences, tokens]; groups are (row with the answer, row without)."""

    ids: torch.Tensor
    mask: torch.Tensor
    types: torch.Tensor
    passage: torch.Tensor  # bool: tokens of the passage
    start: torch.Tensor  # [sequences]
    end: torch.Tensor
    relevant: torch.Tensor  # float [sequences]
    groups: torch.Tensor  # [groups, 2]


class Corpus:
    """Passages and questions of some files in the SQuAD format."""

    def __init__(self, files):
        self.passages, self.questions, self.titles = [], [], []
        for path in files:
            for article in json.loads(Path(path).read_text(encoding="utf-8"))["data"]:
                begin = len(self.passages)
                its = tuple(range(begin, begin + len(article["paragraphs"])))
                for paragraph in article["paragraphs"]:
                    for qa in paragraph["qas"]:
                        spans = ((a["answer_start"], a["answer_start"] + len(a["text"])) for a in qa["answers"])
                        answers = tuple(trim(paragraph["context"], *span) for span in spans)
                        self.questions.append(
                            Question(str(qa["id"]), qa["question"], len(self.passages), answers, its, qa)
                        )
                    self.passages.append(paragraph["context"])
                    self.titles.append(article.get("title", ""))

    def texts(self, question):
        """Return the gold answers of a question."""
        return [self.passages[question.passage][start:end] for start, end in question.answers]

    def squad(self, questions):
        """Return questions as one SQuAD file, a paragraph an article entry."""
        grouped = {}
        for question in questions:
            grouped.setdefault(question.passage, []).append(question.raw)
        return {"version": "1.1", "data": [
            {"title": self.titles[passage], "paragraphs": [{"context": self.passages[passage], "qas": qas}]}
            for passage, qas in grouped.items()
        ]}


def trim(text, start, end):
    """Drop white space at both ends of a span, which no token could cover."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def split(corpus, held_out, seed):
    """Return (training questions, held-out questions), no passage in both."""
    by_passage = {}
    for question in corpus.questions:
        by_passage.setdefault(question.passage, []).append(question)
    order = sorted(by_passage)
    random.Random(f"split-{seed}").shuffle(order)
    held, count = set(), 0
    for passage in order:
        if count >= held_out:
            break
        held.add(passage)
        count += len(by_passage[passage])
    return (
        [q for q in corpus.questions if q.passage not in held],
        [q for q in corpus.questions if q.passage in held],
    )


class Sampler:
    """Makes the groups of a run."""

    def __init__(self, corpus, questions, tokenizer, config):
        self.corpus, self.questions, self.config = corpus, questions, config
        self.tokenizer = tokenizer
        self.cls, self.sep, self.pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
        encoded = tokenizer(corpus.passages, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        self.tokens = list(zip(encoded["input_ids"], encoded["offset_mapping"]))
        # Passages of held-out questions are never seen, not even as negatives.
        self.seen = {q.passage for q in questions}
        allowed = sorted(self.seen)
        place = {passage: i for i, passage in enumerate(allowed)}
        queries = [(q.text, place[q.passage], corpus.texts(q)) for q in questions]
        mined = mining.negatives(queries, [corpus.passages[i] for i in allowed], config["depth"], config["keep"])
        self.gone, self.kept = counterparts(config["contrast_file"], {q.id for q in questions})
        count = {}
        for line in (line for table in (self.gone, self.kept) for its in table.values() for line in its):
            count[line["kind"]] = count.get(line["kind"], 0) + 1
        if strange := sorted(set(config["kinds"]) - set(count)):
            raise ValueError(f"config: kinds: the contrast file has no {', '.join(strange)}; it has {', '.join(sorted(count)) or 'nothing'}")
        # Kinds that few questions can have are drawn more often where they can;
        # "kinds" draws those less often that a run before has learnt.
        self.weight = {kind: number ** -0.5 * config["kinds"].get(kind, 1) for kind, number in count.items()}
        self.hard = {q.id: [allowed[i] for i in found] for q, found in zip(questions, mined)}

    def question_ids(self, text):
        return self.tokenizer(text, add_special_tokens=False, truncation=True, max_length=self.config["question_length"],
                              verbose=False)["input_ids"]

    def passage_tokens(self, text):
        """Return the token ids and offsets of a passage that is none of the corpus."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return encoded["input_ids"], encoded["offset_mapping"]

    def example(self, question_ids, passage, span, rng):
        """Make one sequence of question and passage, each as tokens; span is (start, end) in code points, or None for a pair without an answer."""
        ids, offsets = passage
        room = self.config["max_length"] - len(question_ids) - 3
        first, last = 0, len(ids)
        inside = None
        if span is not None:
            inside = [i for i, (a, b) in enumerate(offsets) if a < span[1] and b > span[0]]
            if not inside or inside[-1] - inside[0] >= room:
                return None
        if rng.random() < self.config["crop"]:
            room = rng.randint(min(self.config["crop_length"], room), room)
        if len(ids) > room:
            low, high = 0, len(ids) - room
            if inside:
                room = max(room, inside[-1] - inside[0] + 1)
                low, high = max(0, inside[-1] + 1 - room), min(inside[0], len(ids) - room)
            first = rng.randint(low, high)
            last = first + room
        lead = [self.cls, *question_ids, self.sep]
        shift = len(lead) - first
        start, end = (inside[0] + shift, inside[-1] + shift) if inside else (NULL, NULL)
        return Example([*lead, *ids[first:last], self.sep], len(lead), len(lead) + last - first,
                       start, end, bool(inside), offsets[first:last])

    def counterpart(self, question, its, rng):
        """Make the sequence of one of some lines of the contrast file."""
        made = rng.choices(its, [self.weight[line["kind"]] for line in its])[0]
        ids = self.question_ids(made["question"] or question.text)
        passage = self.passage_tokens(made["passage"]) if made["passage"] is not None else self.tokens[question.passage]
        return self.example(ids, passage, trim(made["passage"] or self.corpus.passages[question.passage], *made["answer"]) if made["answer"] else None, rng)

    def negative(self, question, question_ids, rng):
        """Make a pair without an answer: counterpart, high-ranking passage or passage of the same article."""
        draw = rng.random()
        if draw < self.config["contrast"]:
            if question.id in self.gone:
                return self.counterpart(question, self.gone[question.id], rng)
        elif draw < self.config["contrast"] + self.config["swap"]:
            changed = unanswerable.swap(question.text, self.corpus.passages[question.passage], rng)
            if changed:
                return self.example(self.question_ids(changed), self.tokens[question.passage], None, rng)
        if draw > 1 - self.config["same_article"]:
            wanted = [mining.plain(text) for text in self.corpus.texts(question)]
            passage = question.article[rng.randrange(len(question.article))]
            text = mining.plain(self.corpus.passages[passage])
            if passage != question.passage and passage in self.seen and not any(w and w in text for w in wanted):
                return self.example(question_ids, self.tokens[passage], None, rng)
        hard = self.hard[question.id]
        if not hard:
            return None
        # The minimum of two draws prefers high ranks.
        passage = hard[min(rng.randrange(len(hard)), rng.randrange(len(hard)))]
        return self.example(question_ids, self.tokens[passage], None, rng)

    def group(self, epoch, question):
        """Return one or two examples, the one with the answer first; none if the answer does not fit."""
        rng = random.Random(f"{self.config['seed']}-{epoch}-{question.id}")
        question_ids = self.question_ids(question.text)
        span = question.answers[rng.randrange(len(question.answers))]
        positive = None
        if rng.random() < self.config["kept"] and question.id in self.kept:
            positive = self.counterpart(question, self.kept[question.id], rng)
        if positive is None:
            positive = self.example(question_ids, self.tokens[question.passage], span, rng)
        if positive is None:
            return []
        negative = self.negative(question, question_ids, rng) if rng.random() < self.config["negatives"] else None
        return [positive] if negative is None else [positive, negative]

    def batches(self, epoch, skip=0):
        """Yield the batches of an epoch from number skip on.

        Questions are shuffled, then sorted by length inside a stretch of some
        batches: rows of a batch are nearly equally long, and the order of
        batches stays random.
        """
        rng = random.Random(f"order-{self.config['seed']}-{epoch}")
        order = list(self.questions)
        rng.shuffle(order)
        size, stretch = self.config["groups"], self.config["groups"] * self.config["bucket"]
        number = 0
        for begin in range(0, len(order), stretch):
            part = order[begin:begin + stretch]
            starts = list(range(0, len(part), size))
            rng.shuffle(starts)
            if number + len(starts) <= skip:
                number += len(starts)
                continue
            groups = sorted((self.group(epoch, q) for q in part), key=longest)
            for start in starts:
                chunk = [group for group in groups[start:start + size] if group]
                number += 1
                if number > skip and chunk:
                    yield number, collate(chunk, self.pad)


def counterparts(path, ids):
    """Read the lines of a contrast file about some questions: two dicts by id, those without an answer and those with one."""
    gone, kept = {}, {}
    if path:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in map(json.loads, file):
                if line["id"] in ids:
                    (kept if line["answer"] else gone).setdefault(line["id"], []).append(line)
    return gone, kept


def longest(group):
    return max((len(example.ids) for example in group), default=0)


def collate(groups, pad):
    """Stack groups into a batch."""
    rows = [example for group in groups for example in group]
    width = max(len(row.ids) for row in rows)
    ids = numpy.full((len(rows), width), pad, dtype=numpy.int64)
    mask, types = numpy.zeros_like(ids), numpy.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, :len(row.ids)] = row.ids
        mask[i, :len(row.ids)] = 1
        types[i, row.first:len(row.ids)] = 1
    passage = numpy.zeros(ids.shape, dtype=bool)
    for i, row in enumerate(rows):
        passage[i, row.first:row.last] = True
    pairs, at = [], 0
    for group in groups:
        if len(group) == 2:
            pairs.append((at, at + 1))
        at += len(group)
    return Batch(
        torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(types), torch.from_numpy(passage),
        torch.tensor([row.start for row in rows]), torch.tensor([row.end for row in rows]),
        torch.tensor([float(row.relevant) for row in rows]), torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
    )
