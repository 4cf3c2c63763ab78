"""Groups, windows, batches and mined negatives of the tiny corpus of test_train.py."""

import gzip
import json
import random

import pytest
import torch
from transformers import AutoTokenizer

import data
import mining
import multitask
import train
import unanswerable
from test_train import CONFIG, checkpoint, shared  # noqa: F401 (fixtures)


@pytest.fixture(scope="module")
def sampler(shared, checkpoint):  # noqa: F811
    corpus = data.Corpus([shared / "tiny.json"])
    training, held = data.split(corpus, 6, 1)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    made = data.Sampler(corpus, training, tokenizer, {**train.DEFAULTS, **CONFIG})
    made.held = held
    return made


def test_split_shares_no_passage_and_loses_no_question(sampler):
    train_passages = {q.passage for q in sampler.questions}
    held_passages = {q.passage for q in sampler.held}
    assert not train_passages & held_passages
    assert len(sampler.held) == 6
    assert len(sampler.questions) + len(sampler.held) == len(sampler.corpus.questions) == 48


def test_held_out_file_holds_exactly_the_held_out_questions(sampler):
    written = sampler.corpus.squad(sampler.held)
    ids = [qa["id"] for article in written["data"] for p in article["paragraphs"] for qa in p["qas"]]
    assert sorted(ids) == sorted(q.id for q in sampler.held)
    for article in written["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                start, text = qa["answers"][0]["answer_start"], qa["answers"][0]["text"]
                assert paragraph["context"][start:start + len(text)] == text


def test_mined_negatives_lack_the_answer_and_the_held_out_passages(sampler):
    held = {q.passage for q in sampler.held}
    count = 0
    for question in sampler.questions:
        for passage in sampler.hard[question.id]:
            count += 1
            assert passage not in held and passage != question.passage
            text = mining.plain(sampler.corpus.passages[passage])
            assert not any(mining.plain(answer) in text for answer in sampler.corpus.texts(question))
    assert count > len(sampler.questions)


def test_windows_hold_the_answer_and_fit(sampler):
    positives = negatives = 0
    for epoch in range(4):
        for question in sampler.questions:
            for position, example in enumerate(sampler.group(epoch, question)):
                assert len(example.ids) <= CONFIG["max_length"]
                assert example.ids[0] == sampler.cls and example.ids[-1] == sampler.sep == example.ids[example.first - 1]
                if position == 0:
                    positives += 1
                    start = example.offsets[example.start - example.first][0]
                    end = example.offsets[example.end - example.first][1]
                    assert (start, end) in question.answers
                    assert example.relevant
                else:
                    negatives += 1
                    assert (example.start, example.end, example.relevant) == (data.NULL, data.NULL, False)
    assert 0.3 < negatives / (positives + negatives) < 0.5


def test_groups_depend_on_seed_epoch_and_question_alone(sampler):
    first = [sampler.group(0, q) for q in sampler.questions]
    assert first == [sampler.group(0, q) for q in sampler.questions]
    assert first != [sampler.group(1, q) for q in sampler.questions]


@pytest.mark.parametrize("skip", [0, 1, 5, 9, 10])
def test_batches_from_any_number_on_are_those_of_the_whole_epoch(sampler, skip):
    whole = list(sampler.batches(3))
    rest = list(sampler.batches(3, skip))
    assert [number for number, _ in rest] == [number for number, _ in whole if number > skip]
    for (_, want), (_, got) in zip(whole[len(whole) - len(rest):], rest):
        assert all(torch.equal(a, b) for a, b in zip(want, got))


def test_an_epoch_holds_every_question_once(sampler):
    rows = sum(int(batch.relevant.sum()) for _, batch in sampler.batches(0))
    assert rows == len(sampler.questions)


def test_swap_names_something_else_of_the_passage():
    passage = "In 1850 the smith Anna Berg left Ulm, and in 1860 Carl Maier came."
    results = {unanswerable.swap("When did Anna Berg leave Ulm?", passage, random.Random(i)) for i in range(20)}
    assert "When did Carl Maier leave Ulm?" in results
    assert "When did Anna Berg leave Carl Maier?" in results
    assert not any("1850" in r or "1860" in r for r in results)
    assert unanswerable.swap("who came in 1850", passage, random.Random(1)) == "who came in 1860"
    assert unanswerable.swap("who came?", passage, random.Random(1)) is None


def test_counterparts_take_their_share_of_the_groups(shared, checkpoint, sampler, tmp_path):  # noqa: F811
    """Each group has a counterpart that keeps its answer, at the place that the line names, and one without an answer."""
    texts, lines = {}, []
    for q in sampler.questions:
        text = f"Before that, {sampler.corpus.passages[q.passage]}"
        start, end = q.answers[0]
        texts[q.id] = text
        lines.append({"id": q.id, "kind": "other-word", "question": None, "passage": text, "answer": [start + 13, end + 13]})
        lines.append({"id": q.id, "kind": "year", "question": f"{q.text[:-1]} in 1700?", "passage": None, "answer": None})
    lines.append({**lines[0], "id": sampler.held[0].id})
    path = tmp_path / "lines.gz"
    with gzip.open(path, "wt") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    config = {**train.DEFAULTS, **CONFIG, "crop": 0.0, "negatives": 1.0, "contrast": 1.0, "kept": 1.0, "contrast_file": path}
    made = data.Sampler(sampler.corpus, sampler.questions, sampler.tokenizer, config)
    assert sampler.held[0].id not in made.kept
    for question in made.questions:
        positive, negative = made.group(0, question)
        assert (negative.start, negative.end, negative.relevant) == (data.NULL, data.NULL, False)
        assert negative.ids[1:negative.first - 1] == made.question_ids(f"{question.text[:-1]} in 1700?")
        span = positive.offsets[positive.start - positive.first][0], positive.offsets[positive.end - positive.first][1]
        text = texts[question.id][slice(*span)]
        assert text in sampler.corpus.texts(question)
    with pytest.raises(ValueError, match="no yaer; it has other-word, year"):
        data.Sampler(sampler.corpus, sampler.questions, sampler.tokenizer, {**config, "kinds": {"yaer": 0.5}})


def test_a_kind_of_less_weight_is_drawn_less_often(shared, checkpoint, sampler, tmp_path):  # noqa: F811
    lines = [{"id": q.id, "kind": kind, "question": f"{q.text[:-1]} in {year}?", "passage": None, "answer": None}
             for q in sampler.questions for kind, year in (("year", 1700), ("condition", 1800))]
    path = tmp_path / "lines.gz"
    with gzip.open(path, "wt") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    config = {**train.DEFAULTS, **CONFIG, "crop": 0.0, "negatives": 1.0, "contrast": 1.0, "contrast_file": path, "kinds": {"year": 0.25}}
    made = data.Sampler(sampler.corpus, sampler.questions, sampler.tokenizer, config)
    drawn = [made.group(epoch, q)[1].ids for epoch in range(20) for q in made.questions]
    year = made.question_ids("in 1700?")[-2]
    assert 0.13 < sum(year in ids for ids in drawn) / len(drawn) < 0.27


def test_bm25_prefers_rare_words_and_short_passages():
    passages = ["the cat sat", "the dog sat", "the dog sat and sat and sat by the long road", "the bird flew off"]
    passages += [f"the filler {i}" for i in range(20)]
    index = mining.BM25(passages)
    assert index.top("a dog sat", 3) == [1, 2, 0]
    assert index.top("zebra", 3) == []
    assert index.top("THE", 3) == []  # in every passage


def test_shared_loss_falls_when_the_wrong_passage_scores_lower():
    class Fixed(torch.nn.Module):
        device = torch.device("cpu")

        def __init__(self, level):
            super().__init__()
            self.logits = torch.zeros(2, 4)
            self.logits[0, 2] = 5
            self.logits[1, 1:] = level

        def forward(self, ids, mask, types):
            return self.logits, self.logits, torch.zeros(2)

    passage = torch.tensor([[False, True, True, True]] * 2)
    batch = data.Batch(*[torch.ones(2, 4, dtype=torch.int64)] * 3, passage, torch.tensor([2, 0]), torch.tensor([2, 0]),
                       torch.tensor([1.0, 0.0]), torch.tensor([[0, 1]]))
    config = {"shared_weight": 1.0, "relevance_weight": 1.0}
    high, low = (float(multitask.losses(Fixed(level), batch, config)["shared"]) for level in (5.0, -5.0))
    assert low < high - 1
