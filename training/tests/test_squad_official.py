import pytest

import squad_official


def dataset():
    qas = [
        {"id": "a", "question": "?", "answers": [{"text": "the Eiffel Tower", "answer_start": 0}]},
        {"id": "b", "question": "?", "answers": []},
        {"id": "c", "question": "?", "answers": [{"text": "two red cars", "answer_start": 0}]},
    ]
    return {"data": [{"paragraphs": [{"context": "", "qas": qas}]}]}


def test_figures_by_hand():
    got = squad_official.evaluate({"a": "Eiffel tower", "b": "", "c": "red cars"}, dataset())
    # c: precision 1, recall 2/3.
    assert got["exact"] == pytest.approx(200 / 3)
    assert got["f1"] == pytest.approx(100 * (1 + 1 + 0.8) / 3)
    assert got["HasAns_f1"] == pytest.approx(90)
    assert got["NoAns_exact"] == 100
    assert got["total"] == 3


def test_threshold_turns_answers_into_no_answer():
    predictions = {"a": "Eiffel tower", "b": "something", "c": "red cars"}
    na_probs = {"a": 0.1, "b": 0.9, "c": 0.8}
    got = squad_official.evaluate(predictions, dataset(), na_probs, 0.5)
    assert got["exact"] == pytest.approx(200 / 3)
    assert got["HasAns_exact"] == 50
    assert got["best_exact"] == pytest.approx(200 / 3)


def test_missing_predictions_are_refused():
    with pytest.raises(ValueError, match="2 of 3 questions"):
        squad_official.evaluate({"a": "x"}, dataset())
