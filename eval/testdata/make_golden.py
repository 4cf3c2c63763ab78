"""Writes golden.json: what Python and the official SQuAD metrics make of awkward strings.

    python make_golden.py

Needs transformers < 5 (without torch), whose squad_metrics is a port of the official evaluate-v2.0.py. Repeatable.
"""

import json
import pathlib
import random
from types import SimpleNamespace

from transformers.data.metrics import squad_metrics as official

HERE = pathlib.Path(__file__).parent

STRINGS = [
    "",
    " ",
    "the",
    "The",
    "a an the",
    "THE A AN",
    "...",
    "The Beatles",
    "the-beatles",
    "an apple a day",
    "theatre an-d a_n",
    "a.b.c",
    "A.",
    "U.S.A.",
    "the U.S.",
    "$1,000.50",
    "1 000",
    "1,000",
    "50 %",
    "50%",
    "Ludwig van Beethoven",
    "ludwig  van\tbeethoven\n",
    "van Beethoven, Ludwig",
    "cat cat dog",
    "cat dog dog",
    "cat",
    "dog cat cat cat",
    # case mapping beyond one rune to one rune
    "İstanbul",
    "i\u0307stanbul",
    "ISTANBUL",
    "ΟΔΥΣΣΕΥΣ",
    "οδυσσευς",
    "Σ",
    "ΑΣ",
    "ΑΣ.",
    "Α.Σ",
    "ΑΣ'Α",
    "ΑΣ Β",
    "ΣΑΣ ΣΑ",
    "Α\u0301Σ\u0301",
    "Α\u00adΣ",
    "1Σ",
    "ʰΣ",
    "Straße",
    "STRASSE",
    "STRAẞE",
    "ǅ ǆ Ǆ",
    "ÉCOLE",
    "e\u0301cole",
    "\U00010400\U00010428",
    "ᏣᎳᎩ ꮳꮃꭹ",
    "ᲐᲑᲒ აბგ",
    # punctuation: only ASCII goes
    "“quoted”",
    "it’s",
    "it's",
    "its",
    "a—b",
    "a–b",
    "¿qué?",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "x^2+y^2=z^2",
    "fullwidth！",
    "§ 5 ¶ 6",
    "10 °C",
    "5 × 4",
    # word boundaries around the articles
    "thé",
    "the\u0301",
    "the\u200dend",
    "the\u200bend",
    "the’s",
    "l’a",
    "a\u0300 la carte",
    "à la carte",
    "the²",
    "a½",
    "aⅣ b",
    "the①",
    "a\u0903 b",
    "a中",
    "中a",
    "中 a 文",
    "the\u203fend",
    "an\u00b7other",
    "a\u00aa",
    "ａ an",
    "a😀the",
    "😀 the 😀",
    "a\u20dd",
    "\u0e01a",
    "a\u0660",
    "the\ufeffend",
    # white space as str.split() sees it
    "a\u00a0b",
    "one\u1680two\u2003three\u3000four",
    "one\u001ctwo\u001dthree\u001efour\u001ffive",
    "one\u0085two",
    "one\u2028two\u2029three",
    "one\u200btwo",
    "one\u180etwo",
    "one\u2060two",
    "one\x0btwo\x0cthree",
    "one\x00two",
    "\u202fthin\u205fmath",
    "\ufeffmark",
    "Москва",
    "МОСКВА",
    "東京",
    "東京 都",
    "القاهرة",
    "नई दिल्ली",
    "กรุงเทพ",
    "a\u0430",
    "Ⅷ",
    "ⅷ",
    "\u212b",
    "\u00e5",
    "\u212a",
    "\ufb01ne",
    "FINE",
    "ŉ",
    "ẖ",
    "\u2126",
]


def rounded(values):
    return {k: round(v, 12) for k, v in values.items()}


def pairs():
    rng = random.Random(7)
    out = [(s, s) for s in STRINGS]
    out += [(a, b) for a, b in zip(STRINGS, STRINGS[1:])]
    words = "the a an cat dog Cat, dog. of in 1974 The THE a-b".split()
    for _ in range(150):
        out.append(tuple(" ".join(rng.choices(words, k=rng.randint(0, 6))) for _ in range(2)))
    return out


def dataset():
    """Questions with several golds, some of which normalise to nothing, ties in the scores, empty predictions."""
    rng = random.Random(11)
    words = "the red blue green car a house , big small old".split()
    questions = []
    for i in range(120):
        golds = []
        if rng.random() < 0.6:
            golds = [" ".join(rng.choices(words, k=rng.randint(1, 4))) for _ in range(rng.randint(1, 3))]
        prediction = " ".join(rng.choices(words, k=rng.randint(0, 4)))
        if golds and rng.random() < 0.5:
            prediction = rng.choice(golds)
        questions.append(
            {
                "id": f"q{i}",
                "golds": golds,
                "prediction": prediction,
                "no_answer": round(rng.random(), 1 if i % 2 else 3),
            }
        )
    results = []
    for threshold in (0.0, 0.25, 0.5, 0.7, 1.0):
        examples = [
            SimpleNamespace(qas_id=q["id"], answers=[{"text": g} for g in q["golds"]]) for q in questions
        ]
        predictions = {q["id"]: q["prediction"] for q in questions}
        no_answer = {q["id"]: q["no_answer"] for q in questions}
        result = official.squad_evaluate(examples, predictions, no_answer, threshold)
        results.append({"threshold": threshold, "official": rounded(result)})
    return {"questions": questions, "results": results}


def main():
    golden = {
        "normalized": [{"text": s, "want": official.normalize_answer(s)} for s in STRINGS],
        "pairs": [
            {
                "prediction": p,
                "gold": g,
                "em": official.compute_exact(g, p),
                "f1": round(float(official.compute_f1(g, p)), 12),
            }
            for p, g in pairs()
        ],
        "dataset": dataset(),
    }
    text = json.dumps(golden, ensure_ascii=True, indent=1)
    (HERE / "golden.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
