"""Counterparts of questions, on a WordNet of a few words made here and spaCy's small model."""

import gzip
import json
import random

import pytest

import contrast
import counterparts
import data
import mining
import wordnet

PASSAGE = "The river Ulm rises in Norland. Anna Berg built the old mill in 1850. In May, Karl Lund bought the farm from the bank."
POOL = {"PERSON": ["Dora Stein"], "GPE": ["Ostland"], "DATE": ["1903"]}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wordnet")
    files = {
        "adj": [
            (["old"], [("!", "@2", "a", "0101")]),
            (["new"], [("!", "@1", "a", "0101")]),
        ],
        "adv": [],
        "noun": [
            (["building"], [("~", "@2", "n", "0000"), ("~", "@3", "n", "0000")]),
            (["mill"], [("@", "@1", "n", "0000")]),
            (["tower"], [("@", "@1", "n", "0000")]),
        ],
        "verb": [
            (["construct"], [("!", "@2", "v", "0101")]),
            (["wreck"], [("!", "@1", "v", "0101")]),
        ],
    }
    for name, synsets in files.items():
        pos = {"adj": "a", "adv": "r", "noun": "n", "verb": "v"}[name]
        offset = [f"{i + 1:08d}" for i in range(len(synsets))]
        data, index = ["  the licence stands here"], ["  the licence stands here"]
        for i, (words, pointers) in enumerate(synsets):
            links = " ".join(f"{sign} {offset[int(to[1:]) - 1]} {kind} {ends}" for sign, to, kind, ends in pointers)
            data.append(f"{offset[i]} 00 {pos} {len(words):02x} {' '.join(f'{w} 0' for w in words)} {len(pointers):03d} {links} | gloss")
            index += [f"{word} {pos} 1 1 {pointers[0][0]} 1 1 {offset[i]}" for word in words]
        (directory / f"data.{name}").write_text("\n".join(data) + "\n", encoding="utf-8")
        (directory / f"index.{name}").write_text("\n".join(index) + "\n", encoding="utf-8")
    (directory / "cntlist.rev").write_text("mill%1:06:00:: 1 9\ntower%1:06:00:: 1 9\n", encoding="utf-8")
    return wordnet.WordNet(directory)


@pytest.fixture(scope="module")
def nlp():
    return contrast.load()


@pytest.fixture(scope="module")
def make(words, nlp):
    """Return a function that makes every counterpart of a kind that twenty random states give."""
    maker = counterparts.Maker(words, POOL)

    def made(kind, question, answer, text=PASSAGE, others=()):
        passage = counterparts.Passage(nlp(text))
        start = text.index(answer)
        chunks = [c for other in others for c in nlp(other).noun_chunks if counterparts.plain_chunk(c)]
        case = counterparts.Case(passage, [(start, start + len(answer))], chunks)
        method = getattr(maker, kind.replace("-", "_"))
        found = [method(nlp(question), passage, case, random.Random(i)) for i in range(20)]
        return [f for f in found if f]

    return made


@pytest.mark.parametrize("kind, question, wanted", [
    ("antonym", "Who built the old mill?", {"Who built the new mill?", "Who destroyed the old mill?"}),
    ("antonym", "Who constructed it?", {"Who wrecked it?"}),
    ("antonym", "Who came?", set()),
    ("sibling", "Who built the mill?", {"Who built the tower?"}),
    ("sibling", "Who built the mills?", {"Who built the towers?"}),
    ("negation", "When did Anna Berg build the mill?",
     {"When didn't Anna Berg build the mill?", "When did Anna Berg not build the mill?", "When did Anna Berg never build the mill?"}),
    ("negation", "Who built the mill?", set()),
    ("entity", "What did Karl Lund build?", set()),  # the only other name is the answer
    ("stranger", "What did Karl Lund build?", {"What did Dora Stein build?"}),
    ("number", "What did the second owner buy in May?", None),
    ("roles", "What did Anna Berg sell to Karl Lund?", {"What did Karl Lund sell to Anna Berg?"}),
    ("roles", "What is the name of the mill?", set()),
    ("year", "When was the mill built?", set()),
])
def test_questions_without_an_answer(make, kind, question, wanted):
    made = make(kind, question, "Anna Berg")
    assert all(set(m) == {"question"} and m["question"] != question for m in made)
    if wanted is None:
        assert len({m["question"] for m in made}) > 3
    else:
        assert {m["question"] for m in made} == wanted


def test_phrases_and_conditions_come_from_the_passage_and_are_not_the_answer(make):
    phrases = {m["question"] for m in make("phrase", "Who built the mill?", "Anna Berg", others=["Where is the old tower?"])}
    assert phrases and phrases <= {f"Who built {p}?" for p in ("the farm", "the bank", "the old tower", "the river")}
    conditions = {m["question"] for m in make("condition", "Who built the mill?", "Anna Berg")}
    assert conditions and not any("1850" in c for c in conditions)
    assert all(c.startswith("Who built the mill ") and mining.plain(c[19:-1]) in mining.plain(PASSAGE) for c in conditions)


def test_passages_without_the_answer(make):
    assert {m["passage"] for m in make("sentence", "Who built the mill?", "Anna Berg")} == {
        "The river Ulm rises in Norland. In May, Karl Lund bought the farm from the bank."}
    twice = PASSAGE + " Anna Berg died young."
    assert make("sentence", "Who built the mill?", "Anna Berg", twice) == []  # the answer still stands there
    for kind in ("passage-word", "passage-phrase", "passage-negation"):
        made = {m["passage"] for m in make(kind, "Who built the old mill?", "Anna Berg")}
        assert made and all("Anna Berg" in text and text.startswith("The river Ulm rises in Norland.") and text.endswith("from the bank.") for text in made), kind
        assert PASSAGE not in made


@pytest.mark.parametrize("kind", counterparts.KEPT)
def test_what_keeps_the_answer_says_where_it_is(make, kind):
    for question, answer in (("When did Anna Berg build the old mill?", "1850"), ("Who built the old mill in 1850?", "Anna Berg")):
        for m in make(kind, question, answer):
            text = m.get("passage", PASSAGE)
            got = text[slice(*m["answer"])]
            assert got == answer if kind != "other-answer" else got in ("Dora Stein", "1903")


def test_words_change_in_question_and_passage_alike(make):
    made = make("both-word", "Who built the old mill?", "Anna Berg")
    assert {"new", "tower"} & {w for m in made for w in m["question"][:-1].split()}
    for m in made:
        new = set(m["question"][:-1].split()) - set("Who built the old mill".split())
        assert len(new) == 1 and new <= set(mining.words(m["passage"]))


def test_lines_of_a_file(words, tmp_path, monkeypatch):
    """The same questions give the same bytes, and training reads them."""
    monkeypatch.setattr(wordnet, "WordNet", lambda: words)
    file = tmp_path / "some.json"
    start = PASSAGE.index("Anna Berg")
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": PASSAGE, "qas": [
        {"id": "a", "question": "Who built the old mill in 1850?", "answers": [{"text": "Anna Berg", "answer_start": start}]},
        {"id": "b", "question": "What did Karl Lund buy?", "answers": [{"text": "the farm", "answer_start": PASSAGE.index("the farm")}]},
    ]}]}]}))
    for out in ("1.gz", "2.gz"):
        assert contrast.main([str(tmp_path / out), str(file), "--workers", "1"]) == 0
    assert (tmp_path / "1.gz").read_bytes() == (tmp_path / "2.gz").read_bytes()
    lines = [json.loads(line) for line in gzip.open(tmp_path / "1.gz", "rt")]
    gone, kept = data.counterparts(tmp_path / "1.gz", {"a"})
    assert set(gone) == set(kept) == {"a"}
    assert len(gone["a"]) + len(kept["a"]) == sum(line["id"] == "a" for line in lines)
    assert {line["kind"] for line in gone["a"]} <= set(counterparts.GONE) and {line["kind"] for line in kept["a"]} <= set(counterparts.KEPT)
