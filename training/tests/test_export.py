"""Export of a tiny checkpoint with random weights, made here."""

import json
import logging

import numpy
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerFast

import export

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64,
    )
    BertForQuestionAnswering(config).save_pretrained(directory)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(directory)
    return directory


def run_export(checkpoint, out, *options):
    logging.disable(logging.WARNING)
    try:
        return export.export(export.parse([str(checkpoint), str(out), *options]))
    finally:
        logging.disable(logging.NOTSET)


def feed(batch, seq):
    random = numpy.random.default_rng(3)
    ids = random.integers(4, len(WORDS), size=(batch, seq))
    mask = numpy.ones_like(ids)
    mask[0, seq - 2:] = 0
    types = numpy.zeros_like(ids)
    types[:, seq // 2:] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def expected(checkpoint, inputs):
    model = BertForQuestionAnswering.from_pretrained(checkpoint, attn_implementation="eager").eval()
    with torch.inference_mode():
        result = model(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    return result.start_logits.numpy(), result.end_logits.numpy()


@pytest.mark.parametrize(("batch", "seq"), [(1, 4), (3, 17), (2, 64)])
def test_split_bundle_gives_the_logits_of_the_checkpoint(checkpoint, tmp_path, batch, seq):
    out = run_export(checkpoint, tmp_path / "bundle")
    inputs = feed(batch, seq)
    hidden = onnxruntime.InferenceSession(out / "model.fp32.onnx").run(["last_hidden_state"], inputs)[0]
    head = load_file(out / export.SPAN_FILE)
    assert head["weight"].shape == (2, 32) and head["bias"].shape == (2,)
    logits = hidden @ head["weight"].T + head["bias"]
    keep = inputs["attention_mask"] == 1
    for row, want in enumerate(expected(checkpoint, inputs)):
        numpy.testing.assert_allclose(logits[..., row][keep], want[keep], atol=1e-5)


def test_fused_graph_gives_the_logits_of_the_checkpoint(checkpoint, tmp_path):
    out = run_export(checkpoint, tmp_path / "bundle", "--fused", "--precisions", "fp32")
    inputs = feed(2, 9)
    got = onnxruntime.InferenceSession(out / "model.fp32.onnx").run(["start_logits", "end_logits"], inputs)
    keep = inputs["attention_mask"] == 1
    for logits, want in zip(got, expected(checkpoint, inputs)):
        numpy.testing.assert_allclose(logits[keep], want[keep], atol=1e-5)
    manifest = json.loads((out / export.MANIFEST).read_text())
    assert manifest["heads"] == [{"kind": "span"}]


def test_int8_is_close(checkpoint, tmp_path):
    out = run_export(checkpoint, tmp_path / "bundle")
    inputs = feed(1, 12)
    inputs["attention_mask"][:] = 1
    exact, rounded = (
        onnxruntime.InferenceSession(out / name).run(None, inputs)[0].ravel() for name in ("model.fp32.onnx", "model.int8.onnx")
    )
    cosine = exact @ rounded / numpy.linalg.norm(exact) / numpy.linalg.norm(rounded)
    assert 0.98 < cosine < 1


def test_equal_input_equal_bytes(checkpoint, tmp_path):
    first, second = (run_export(checkpoint, tmp_path / name) for name in ("one", "two"))
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_manifest_lists_every_file(checkpoint, tmp_path):
    out = run_export(checkpoint, tmp_path / "bundle")
    manifest = json.loads((out / export.MANIFEST).read_text())
    names = {path.name for path in out.iterdir()} - {export.MANIFEST}
    assert set(manifest["files"]) == names
    for name, entry in manifest["files"].items():
        assert entry == export.file_entry(out / name)
    assert manifest["graphs"] == {"fp32": "model.fp32.onnx", "int8": "model.int8.onnx"}
    assert (out / "tokenizer.json").read_bytes() == (checkpoint / "tokenizer.json").read_bytes()


def test_foreign_directory_is_left_alone(checkpoint, tmp_path):
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="is no bundle"):
        run_export(checkpoint, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="config.json is missing"):
        run_export(tmp_path / "nowhere", tmp_path / "out")
