"""Edits of questions, on a WordNet of a few words made here."""

import random

import pytest

import edits

PASSAGE = "The river Ulm rises in Norland. Anna Berg built the old mill in 1850, and Karl Lund bought it in 1872."


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
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
    (directory / "verb.exc").write_text("built build\n", encoding="utf-8")
    (directory / "cntlist.rev").write_text("mill%1:06:00:: 1 9\ntower%1:06:00:: 1 9\n", encoding="utf-8")
    return directory


@pytest.mark.parametrize("kind, question, wanted", [
    ("antonym", "Who built the old mill?", {"Who built the new mill?", "Who destroyed the old mill?"}),
    ("antonym", "Who constructed it?", {"Who wrecked it?"}),
    ("antonym", "Who was the last owner?", {"Who was the first owner?"}),
    ("antonym", "Who came?", {None}),
    ("sibling", "Who built the mill?", {"Who built the tower?"}),
    ("sibling", "Who built the mills?", {"Who built the towers?"}),
    ("negation", "When did Anna Berg build the mill?", {"When didn't Anna Berg build the mill?", "When did Anna Berg never build the mill?"}),
    ("negation", "Who built the mill?", {None}),
    ("name", "What did Anna Berg build?", {"What did Karl Lund build?", "What did Ulm build?", "What did Norland build?"}),
    ("roles", "What did Anna Berg sell to Karl Lund?", {"What did Karl Lund sell to Anna Berg?"}),
    ("roles", "What did Anna Berg sell?", {None}),
    ("condition", "When was the mill built?", {None}),
])
def test_kinds(wordnet, kind, question, wanted):
    editor = edits.Editor(wordnet)
    got = {editor.edit(question, PASSAGE, random.Random(i), (kind,)) for i in range(40)}
    assert {made and made[1] for made in got} == wanted


def test_condition_names_a_year_that_the_passage_does_not(wordnet):
    editor = edits.Editor(wordnet)
    for i in range(40):
        kind, changed = editor.edit("Who built the mill?", PASSAGE, random.Random(i), ("condition",))
        assert kind == "condition" and changed.endswith("?")
        assert not any(year in changed for year in ("1850", "1872"))


def test_the_same_random_state_makes_the_same_edit(wordnet):
    editor = edits.Editor(wordnet)
    question = "When did Anna Berg sell the old mill to Karl Lund?"
    made = [editor.edit(question, PASSAGE, random.Random(5)) for _ in range(2)]
    assert made[0] == made[1] and made[0][1] != question
