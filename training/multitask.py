"""One encoder with a span head and a relevance head, and their common loss."""

import contextlib
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering

import data

RELEVANCE = "relevance.safetensors"  # the second head, beside the checkpoint's own files


class Model(torch.nn.Module):
    """An encoder with a span head (two logits a token) and a relevance head (one logit on [CLS])."""

    def __init__(self, reader):
        super().__init__()
        self.reader = reader
        self.relevance = torch.nn.Linear(reader.config.hidden_size, 1)
        torch.nn.init.normal_(self.relevance.weight, std=0.02)
        torch.nn.init.zeros_(self.relevance.bias)

    @classmethod
    def load(cls, directory, dropout):
        """Load a checkpoint; a plain encoder gets new heads, one without relevance.safetensors a new relevance head."""
        # Plain attention: the way back of torch's fused one takes longer on CPUs (experiments.md).
        settings = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "attn_implementation": "eager"}
        reader = AutoModelForQuestionAnswering.from_pretrained(directory, dtype=torch.float32, **settings)
        model = cls(reader)
        head = Path(directory) / RELEVANCE
        if head.exists():
            model.relevance.load_state_dict(load_file(head))
        return model

    @property
    def device(self):
        return self.relevance.weight.device

    def forward(self, ids, mask, types):
        inputs = {"input_ids": ids, "attention_mask": mask}
        if getattr(self.reader.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = types
        hidden = self.reader.base_model(**inputs).last_hidden_state
        logits = self.reader.qa_outputs(hidden)
        return logits[..., 0].float(), logits[..., 1].float(), self.relevance(hidden[:, 0]).squeeze(-1).float()


def losses(model, batch, config):
    """Return the parts of the loss of a batch as tensors without dimensions, where the model is."""
    batch = data.Batch(*(tensor.to(model.device) for tensor in batch))
    start, end, relevance = model(batch.ids, batch.mask, batch.types)
    allowed = batch.passage.clone()
    allowed[:, data.NULL] = True
    part = {"span": (choose(start, allowed, batch.start) + choose(end, allowed, batch.end)) / 2}
    # Clark and Gardner 2018, "Simple and effective multi-paragraph reading
    # comprehension", shared normalisation: one softmax over the passages of a
    # question, so that a logit means the same in each of them.
    if len(batch.groups):
        first, second = batch.groups[:, 0], batch.groups[:, 1]
        both = torch.cat([batch.passage[first], batch.passage[second]], 1)
        part["shared"] = (
            choose(torch.cat([start[first], start[second]], 1), both, batch.start[first])
            + choose(torch.cat([end[first], end[second]], 1), both, batch.end[first])
        ) / 2
    else:
        part["shared"] = start.sum() * 0
    part["relevance"] = torch.nn.functional.binary_cross_entropy_with_logits(relevance, batch.relevant)
    part["loss"] = part["span"] + config["shared_weight"] * part["shared"] + config["relevance_weight"] * part["relevance"]
    return part


def choose(logits, allowed, target):
    return torch.nn.functional.cross_entropy(logits.masked_fill(~allowed, -1e4), target)


class Average:
    """Exponential moving average of the trained weights."""

    def __init__(self, model, decay):
        self.decay, self.count = decay, 0
        self.live = [p for p in model.parameters() if p.requires_grad]
        self.kept = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self):
        self.count += 1
        # A young average forgets its start faster: the start is no trained model.
        decay = min(self.decay, self.count / (self.count + 10))
        torch._foreach_lerp_(self.kept, [p.detach() for p in self.live], 1 - decay)

    @contextlib.contextmanager
    def applied(self):
        """Exchange the averaged weights into the model for the time of a with block."""
        stored = [p.detach().clone() for p in self.live]
        with torch.no_grad():
            torch._foreach_copy_(self.live, self.kept)
            try:
                yield
            finally:
                torch._foreach_copy_(self.live, stored)


def parameter_groups(model, config):
    """Split parameters by learning rate and weight decay; biases and norms are not decayed."""
    if config["freeze_embeddings"]:
        model.reader.get_input_embeddings().weight.requires_grad_(False)
    groups = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = config["head_lr"] if name.startswith("relevance") else config["lr"]
        decay = 0.0 if parameter.ndim < 2 else config["weight_decay"]
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": its, "lr": rate, "base_lr": rate, "weight_decay": decay} for (rate, decay), its in groups.items()]
