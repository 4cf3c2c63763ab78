"""Trains larger vocabularies on gathered text, for differential.py.

    pip install tokenizers==0.22.2 sentencepiece
    python train.py DIR OUT      DIR as gather.py left it; OUT gets *.json

The Unigram models take their charsmap (nmt_nfkc) from SentencePiece.
"""

import io
import pathlib
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers, processors, trainers

import differential  # noqa: F401  makes golden importable
import golden


def charsmap():
    """The map nmt_nfkc; what the model is trained on does not matter."""
    lines = [f"line {n} of {n * n} words" for n in range(300)]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, vocab_size=60, hard_vocab_limit=False,
                                             normalization_rule_name="nmt_nfkc", minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


def main(source, target):
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    lines = [line for _, found in differential.folders(source) for line in found if len(line) < 400]
    random.Random(1).shuffle(lines)
    lines = lines[:40000]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    t = golden.train(models.BPE(), trainers.BpeTrainer(vocab_size=24000, special_tokens=special, show_progress=False,
                                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), lines,
                     pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    t.save(str(target / "roberta.json"))
    t.normalizer = normalizers.NFC()
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in range(8, 1, -1)])
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> $B </s>", [("<s>", 0), ("</s>", 2)])
    t.save(str(target / "modernbert.json"))
    spm = normalizers.Precompiled(charsmap())
    t = golden.train(models.Unigram(), trainers.UnigramTrainer(vocab_size=16000, special_tokens=special, unk_token="<unk>", show_progress=False),
                     lines[:20000], normalizer=spm,
                     pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]))
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)])
    t.save(str(target / "xlm-roberta.json"))
    t.normalizer = normalizers.Sequence([normalizers.Strip(False, True), spm, normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.save(str(target / "deberta-v3.json"))


if __name__ == "__main__":
    main(*sys.argv[1:])
