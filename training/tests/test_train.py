"""Training of a tiny reader with random weights on a tiny corpus, both made here."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForQuestionAnswering, BertConfig, BertForQuestionAnswering, BertModel, PreTrainedTokenizerFast

import average
import data
import evaluate
import export_reader
import multitask
import train

NAMES = ["Anna", "Berta", "Carla", "Dora", "Erna", "Frida", "Gerda", "Hanna"]
TOWNS = ["Ulm", "Kiel", "Bonn", "Trier", "Essen", "Mainz", "Jena", "Hof"]
FILLER = "it was a long way and the road went over hills and fields to the sea".split()


def articles():
    """Return 8 articles of 3 paragraphs, 2 questions each; every answer stands in its own paragraph alone."""
    rng = random.Random(5)
    result = []
    for a, town in enumerate(TOWNS):
        paragraphs = []
        for p in range(3):
            year = str(1800 + 10 * a + p)
            name = f"{NAMES[a]}{'xyz'[p]}"
            words = [rng.choice(FILLER) for _ in range(rng.randint(5, 40))]
            context = f"In the year {year} the smith {name} came to {town} and {' '.join(words)}."
            paragraphs.append({"context": context, "qas": [
                {"id": f"{a}-{p}-who", "question": f"Who came to {town} in {year}?",
                 "answers": [{"text": name, "answer_start": context.index(name)}]},
                {"id": f"{a}-{p}-when", "question": f"In which year did {name} come to {town}?",
                 "answers": [{"text": year, "answer_start": context.index(year)}]},
            ]})
        result.append({"title": town, "paragraphs": paragraphs})
    return result


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shared")
    (directory / "tiny.json").write_text(json.dumps({"data": articles()}))
    return directory


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, shared):
    directory = tmp_path_factory.mktemp("init")
    text = json.dumps(articles()).lower()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(set(data.mining.words(text))), *".?"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(directory)
    torch.manual_seed(1)
    BertForQuestionAnswering(tiny(len(words))).save_pretrained(directory)
    return directory


def tiny(words):
    return BertConfig(vocab_size=words, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                      intermediate_size=64, max_position_embeddings=64)


CONFIG = {
    "files": ["tiny.json"], "held_out": 6, "eval_questions": 6, "steps": 24, "warmup": 3, "groups": 4, "bucket": 2,
    "max_length": 40, "crop": 0.3, "crop_length": 12, "dropout": 0.1, "threads": 1, "save_every": 5, "lr": 1e-3,
}


@pytest.fixture
def start(tmp_path, shared, checkpoint, monkeypatch):
    """Return a function that writes a config and gives the arguments of a new run."""
    monkeypatch.setenv("NEEDLE_SHARED", str(shared))

    def arguments(name, **changes):
        config = tmp_path / f"{name}.json"
        config.write_text(json.dumps({**CONFIG, **changes}))
        return [str(config), "--init", str(checkpoint), "--out", str(tmp_path / name)]

    return arguments


def weights(run):
    return {**load_file(run / "checkpoint" / "model.safetensors"), **{
        f"relevance.{k}": v for k, v in load_file(run / "checkpoint" / "relevance.safetensors").items()}}


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["lr"], line["pairs"]) for line in lines if "loss" in line]


# Kills its own process, without any clean-up, after the step that is named.
KILLED = """
import os, signal, sys
import train
advance = train.Run.advance
def dying(run, batch, left):
    if run.step == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(run, batch, left)
train.Run.advance = dying
train.main(sys.argv[2:])
"""


@pytest.mark.parametrize("changes", [{}, {"bf16": True}], ids=["fp32", "bf16"])
def test_killed_run_continues_exactly(start, tmp_path, changes):
    assert train.main(start("whole", **changes)) == 0
    arguments = start("broken", **changes)
    here = Path(train.__file__).parent
    for step in (13, 17):  # the last states are those of steps 10 and 15
        killed = subprocess.run([sys.executable, "-c", KILLED, str(step), *arguments], cwd=here, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        arguments = ["--resume", str(tmp_path / "broken")]
    assert train.main(arguments) == 0
    want, got = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert want.keys() == got.keys()
    different = [name for name in want if not torch.equal(want[name], got[name])]
    assert not different
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")


def test_same_numbers_twice_and_other_numbers_with_another_seed(start, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train.main(start(name, seed=seed, steps=10)) == 0
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_learns(start, tmp_path):
    assert train.main(start("run", steps=150, save_every=0, dropout=0.0)) == 0
    its = losses(tmp_path / "run")
    assert its[-1][1] < 0.7 * its[0][1], its


def test_schedule_ends_at_zero_and_shrinks_without_a_jump(start, tmp_path):
    run = train.open_run(parse(start("run")))
    batch = next(run.stream())
    rates = []
    for left in [*range(24, 14, -1), 5, 4, 3, 2, 1]:  # ten steps of the budget, then ten are cut
        run.advance(batch, left)
        rates.append(run.optimizer.param_groups[0]["lr"] / run.optimizer.param_groups[0]["base_lr"])
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3 * (1 - 1 / 24), 1 - 2 / 24])
    falls = -numpy.diff(rates[2:])
    assert (falls > 0).all() and falls.max() < 0.125
    assert run.progress == pytest.approx(1)


def parse(arguments):
    return type("Arguments", (), {
        "contrast": None,
        "config": arguments[0], "init": arguments[2], "out": arguments[4], "resume": None, "steps": None})


def test_deadline_cuts_the_budget(start):
    run = train.open_run(parse(start("run", steps=1000)))
    run.step, run.seconds = 100, 200.0
    assert run.left(None) == 900
    assert run.left(time.time() + 60.5) == 30
    assert run.left(time.time() - 60) == 1
    assert run.left(time.time() + 1e6) == 900


def test_terminated_run_saves_and_says_so(start, tmp_path, monkeypatch):
    advance = train.Run.advance

    def told(run, batch, left):
        if run.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(run, batch, left)

    monkeypatch.setattr(train.Run, "advance", told)
    assert train.main(start("run")) == 143
    monkeypatch.setattr(train.Run, "advance", advance)
    assert torch.load(tmp_path / "run" / "state.pt")["step"] == 7
    assert train.main(["--resume", str(tmp_path / "run"), "--steps", "9"]) == 0
    assert json.loads((tmp_path / "run" / "train.json").read_text())["steps"] == 9


def test_config_with_unknown_key_is_refused(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{"lrr": 1}')
    with pytest.raises(ValueError, match="unknown keys lrr"):
        train.configure(path, {})


def test_run_directory_is_not_overwritten(start, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.json").write_text("{}")
    with pytest.raises(FileExistsError):
        train.main(start("run"))


def test_plain_encoder_gets_a_span_head(checkpoint, tmp_path):
    source = AutoModelForQuestionAnswering.from_pretrained(checkpoint)
    BertModel(source.config, add_pooling_layer=False).save_pretrained(tmp_path)
    model = multitask.Model.load(tmp_path, 0.0)
    assert tuple(model.reader.qa_outputs.weight.shape) == (2, 32)


def test_checkpoint_loads_and_exports_with_both_heads(start, tmp_path):
    assert train.main(start("run", steps=5)) == 0
    directory = tmp_path / "run" / "checkpoint"
    assert AutoModelForQuestionAnswering.from_pretrained(directory, dtype="auto").dtype == torch.float16
    stored = json.loads((directory / "train.json").read_text())
    assert stored["lr"] == CONFIG["lr"] and stored["done"]["step"] == 5 and str(tmp_path) not in json.dumps(stored)
    export_reader.main([str(directory), str(tmp_path / "bundle"), "--precisions", "fp32"])
    manifest = json.loads((tmp_path / "bundle" / "needle.json").read_text())
    assert manifest["heads"][1] == {"kind": "relevance", "file": "relevance.safetensors", "options": {"pooling": "cls"}}
    assert "relevance.safetensors" in manifest["files"]
    bundle = evaluate.Bundle(tmp_path / "bundle", "fp32")
    model = multitask.Model.load(directory, 0.0)
    with torch.no_grad():
        model.relevance.weight.copy_(load_file(directory / "relevance.safetensors")["weight"])
        model.relevance.bias.copy_(load_file(directory / "relevance.safetensors")["bias"])
    question, passage = "Who came to Ulm in 1800?", articles()[0]["paragraphs"][0]["context"]
    (want,) = evaluate.read(model, bundle.tokenizer, [(question, passage)])
    got = bundle.read(question, passage)
    assert got[0] == want[0]
    assert got[1:] == pytest.approx(want[1:], abs=1e-3)


def test_auc_counts_ties_half():
    assert evaluate.auc(numpy.array([3.0, 2.0]), numpy.array([1.0, 0.0])) == 1
    assert evaluate.auc(numpy.array([1.0, 2.0]), numpy.array([1.0, 2.0])) == 0.5
    assert evaluate.auc(numpy.array([1.0, 3.0]), numpy.array([2.0, 2.0])) == 0.5
    assert evaluate.auc(numpy.array([2.0, 3.0]), numpy.array([2.0, 1.0])) == 0.875


def test_a_config_with_counterparts_needs_their_file(start):
    with pytest.raises(ValueError, match="contrast.py"):
        train.main(start("run", contrast=0.5))


def test_mean_of_checkpoints(start, tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        assert train.main(start(name, seed=seed, steps=4)) == 0
    its = [str(tmp_path / name / "checkpoint") for name in "ab"]
    out = average.average(tmp_path / "mean", its)
    a, b, mean = weights(tmp_path / "a"), weights(tmp_path / "b"), load_file(out / "model.safetensors")
    for name, value in mean.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, ((a[name].float() + b[name].float()) / 2).half()), name
    stored = json.loads((out / "train.json").read_text())
    assert sorted(config["seed"] for config in stored["mean_of"].values()) == [1, 2] and str(tmp_path) not in json.dumps(stored)
    assert AutoModelForQuestionAnswering.from_pretrained(out).config.hidden_size == 32
    with pytest.raises(FileExistsError):
        average.average(out, its)
