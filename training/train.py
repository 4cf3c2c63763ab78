"""Fine-tune one encoder with a span head and a relevance head.

    python train.py configs/reader.json --init CHECKPOINT --out RUN
    python train.py --resume RUN [--steps N]

The run directory holds the exact config, metrics as JSON lines, the last state
(state.pt) and at the end a checkpoint in the Hugging Face layout. A run that
was killed goes on from its last state with --resume as if nothing had happened:
weights, optimizer, schedule, data order and random numbers are restored. The
learning rate falls to 0 over the *progress* of a run, a share of its step
budget. A smaller --steps at resume, or --deadline, shortens what is left
without a jump.
"""

import argparse
import datetime
import json
import os
import signal
import sys
import time
from pathlib import Path

# Threads that wait for each other must not spin: where other work shares the
# cores, spinning more than doubled the CPU time of a step (experiments.md). The
# OpenMP runtime reads this once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

import data
import evaluate
import export
import mining
import multitask
import squad

DEFAULTS = {
    "files": list(data.FILES),
    "seed": 1,
    "split_seed": 1,
    "held_out": 1200,
    "eval_questions": 120,
    "steps": 1000,
    "warmup": 50,
    "groups": 8,
    "bucket": 32,
    "max_length": 256,
    "question_length": 48,
    "crop": 0.0,
    "crop_length": 96,
    "negatives": 0.8,
    "swap": 0.15,
    "contrast": 0.0,
    "kept": 0.0,
    "kinds": {},
    "contrast_file": None,
    "same_article": 0.15,
    "depth": 30,
    "keep": 10,
    "lr": 6e-5,
    "head_lr": 3e-4,
    "weight_decay": 0.01,
    "clip": 1.0,
    "dropout": 0.1,
    "freeze_embeddings": True,
    "shared_weight": 0.5,
    "relevance_weight": 0.5,
    "ema": 0.99,
    "bf16": False,
    "device": "auto",
    "threads": 2,
    "save_every": 50,
    "eval_every": 0,
}
STATE = "state.pt"
CONFIG = "train.json"
METRICS = "metrics.jsonl"
HELD_OUT = "heldout.json"


class Log:
    """Writes metrics as JSON lines, and to MLflow where it is installed."""

    def __init__(self, out, config):
        self.file = open(out / METRICS, "a", encoding="utf-8")
        self.mlflow = None
        try:
            import mlflow
        except ImportError:
            return
        # A file store needs no server and no database; newer versions ask for this word.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        mlflow.set_tracking_uri((out / "mlruns").resolve().as_uri())
        mlflow.set_experiment("reader")
        known = out / "mlflow-run"
        if known.exists():
            mlflow.start_run(run_id=known.read_text())
            # Parameters cannot change; a shortened budget becomes a tag.
            mlflow.set_tag("steps", config["steps"])
        else:
            known.write_text(mlflow.start_run().info.run_id)
            mlflow.log_params(config)
        self.mlflow = mlflow

    def write(self, step, **values):
        print(json.dumps({"step": step, **values}), file=self.file, flush=True)
        print(step, values, flush=True)
        if self.mlflow:
            self.mlflow.log_metrics({k: v for k, v in values.items() if isinstance(v, (int, float))}, step=step)

    def artifacts(self, paths):
        if self.mlflow:
            for path in paths:
                self.mlflow.log_artifact(str(path))

    def close(self):
        self.file.close()
        if self.mlflow:
            self.mlflow.end_run()


class Run:
    """A training run: everything that its state file holds."""

    def __init__(self, config, init, out):
        torch.set_num_threads(config["threads"])
        torch.manual_seed(config["seed"])
        self.config, self.out = config, out
        self.tokenizer = AutoTokenizer.from_pretrained(init)
        # A tokenizer file may carry the truncation of its last use.
        self.tokenizer.backend_tokenizer.no_truncation()
        self.model = multitask.Model.load(init, config["dropout"]).to(device(config["device"])).train()
        self.corpus = data.Corpus([squad.shared() / name for name in config["files"]])
        training, self.held = data.split(self.corpus, config["held_out"], config["split_seed"])
        self.sampler = data.Sampler(self.corpus, training, self.tokenizer, config)
        self.optimizer = torch.optim.AdamW(multitask.parameter_groups(self.model, config), fused=True)
        self.average = multitask.Average(self.model, config["ema"])
        self.step, self.progress, self.epoch, self.batch = 0, 0.0, 0, 0
        self.pairs, self.tokens, self.seconds = 0, 0, 0.0
        self.recent = []  # the losses since the last line of the log

    COUNTERS = ("step", "progress", "epoch", "batch", "pairs", "tokens", "seconds", "recent")

    def save(self):
        """Write the state so that a kill at any moment leaves a whole file."""
        state = {
            "model": [p.detach() for p in self.average.live], "average": self.average.kept, "count": self.average.count,
            "optimizer": self.optimizer.state_dict(), "rng": self.random_state(),
            **{name: getattr(self, name) for name in self.COUNTERS},
        }
        part = self.out / (STATE + ".part")
        torch.save(state, part)
        os.replace(part, self.out / STATE)

    def random_state(self):
        """Return the states of the random numbers: the processor's, and the device's where it has its own."""
        cuda = [torch.cuda.get_rng_state(self.model.device)] if self.model.device.type == "cuda" else []
        return [torch.get_rng_state(), *cuda]

    def load(self):
        # The random state stays where torch wants it, whatever the device.
        state = torch.load(self.out / STATE, weights_only=True, map_location="cpu")
        with torch.no_grad():
            torch._foreach_copy_(self.average.live, state["model"])
            torch._foreach_copy_(self.average.kept, state["average"])
        self.average.count = state["count"]
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"][0])
        if self.model.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng"][1], self.model.device)
        for name in self.COUNTERS:
            setattr(self, name, state[name])
        # The steps after the state are taken again, and logged again.
        metrics = self.out / METRICS
        if metrics.exists():
            lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            metrics.write_text("".join(line for line in lines if json.loads(line)["step"] <= self.step), encoding="utf-8")

    def advance(self, batch, left):
        """Take one step when left steps are to be taken, this one included."""
        warm = min(1.0, (self.step + 1) / self.config["warmup"]) if self.config["warmup"] else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * warm * (1 - self.progress)
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.config["bf16"]):
            part = multitask.losses(self.model, batch, self.config)
        self.optimizer.zero_grad(set_to_none=True)
        part["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.average.live, self.config["clip"])
        self.optimizer.step()
        self.average.update()
        self.step += 1
        self.progress += (1 - self.progress) / max(left, 1)
        self.pairs += len(batch.ids)
        self.tokens += int(batch.mask.sum())
        return {name: float(value.detach()) for name, value in part.items()}

    def stream(self):
        """Yield batches from where the run stands, epoch after epoch."""
        while True:
            for self.batch, batch in self.sampler.batches(self.epoch, self.batch):
                yield batch
            self.epoch, self.batch = self.epoch + 1, 0

    def left(self, deadline):
        """Return how many steps are to be taken: the rest of the budget, or what the time allows at the rate so far."""
        budget = self.config["steps"] - self.step
        if deadline is None or self.step < 20:
            return budget
        return min(budget, max(1, int((deadline - time.time()) * self.step / self.seconds)))

    def evaluate(self):
        chosen = squad.spread(self.held, min(self.config["eval_questions"], len(self.held)))
        with self.average.applied():
            return evaluate.held_out(self.model, self.tokenizer, self.corpus, chosen, self.wrong(chosen), self.config["bf16"])

    def wrong(self, questions):
        """Return a high-ranking wrong passage for each held-out question, held-out passages only."""
        allowed = sorted({q.passage for q in self.held})
        place = {passage: i for i, passage in enumerate(allowed)}
        queries = [(q.text, place[q.passage], self.corpus.texts(q)) for q in questions]
        found = mining.negatives(queries, [self.corpus.passages[i] for i in allowed], keep=1)
        return [allowed[its[0] if its else (place[q.passage] + 1) % len(allowed)] for q, its in zip(questions, found)]

    def export(self):
        """Write the averaged weights: fp16, Hugging Face layout, relevance head beside them."""
        target = self.out / "checkpoint"
        with self.average.applied():
            half = {k: v.half().cpu().contiguous() for k, v in self.model.reader.state_dict().items()}
            self.model.reader.save_pretrained(target, state_dict=half)
            save_file(
                {k: v.detach().cpu().clone() for k, v in self.model.relevance.state_dict().items()},
                target / multitask.RELEVANCE,
            )
        self.tokenizer.save_pretrained(target)
        # The library names the type of the model in memory, not of the file.
        written = json.loads((target / "config.json").read_text(encoding="utf-8"))
        (target / "config.json").write_text(json.dumps({**written, "dtype": "float16"}, indent=2) + "\n", encoding="utf-8")
        # What travels with the weights names the start by its digest: a path
        # means nothing elsewhere.
        config = {**self.config, "init": export.checkpoint_name(self.config["init"]), **self.record()}
        if config["contrast_file"]:
            path = Path(config["contrast_file"])
            config["contrast_file"] = f"{path.name} ({export.file_entry(path)['sha256'][:16]})"
        (target / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        return target

    def record(self):
        """Return what the run has done so far, for a record of it."""
        return {"done": {name: getattr(self, name) for name in ("step", "progress", "epoch", "pairs", "tokens", "seconds")}}

    def train(self, log, deadline=None):
        """Train to the end of the budget; return False when a signal stopped the run early."""
        stop = []
        previous = signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
        try:
            batches = self.stream()
            begin = time.monotonic()
            while self.step < self.config["steps"] and self.progress < 1 - 1e-9 and not stop:
                batch = next(batches)
                self.recent.append(self.advance(batch, self.left(deadline)))
                now = time.monotonic()
                self.seconds += now - begin
                begin = now
                if self.step % 10 == 0:
                    mean = {k: round(float(numpy.mean([r[k] for r in self.recent])), 4) for k in self.recent[0]}
                    log.write(self.step, **mean, progress=round(self.progress, 4), lr=self.optimizer.param_groups[0]["lr"],
                              pairs=self.pairs, tokens=self.tokens, seconds=round(self.seconds, 1))
                    self.recent = []
                if self.config["save_every"] and self.step % self.config["save_every"] == 0:
                    self.save()
                if self.config["eval_every"] and self.step % self.config["eval_every"] == 0:
                    log.write(self.step, **self.evaluate())
                    begin = time.monotonic()
            self.save()
            return not stop
        finally:
            signal.signal(signal.SIGTERM, previous)


def device(name):
    """Return the device that a config names; "auto" is the first CUDA device, or the processor."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def configure(path, changes):
    """Read a config over the defaults; unknown keys are errors."""
    given = {**(json.loads(Path(path).read_text()) if path else {}), **changes}
    unknown = sorted(set(given) - set(DEFAULTS) - {"init"})
    if unknown:
        raise ValueError(f"config: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(DEFAULTS))}")
    return {**DEFAULTS, **given}


def at(clock):
    """Return the next moment of a UTC clock time HH:MM as seconds since the epoch."""
    now = datetime.datetime.now(datetime.timezone.utc)
    hour, minute = map(int, clock.split(":"))
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (then if then > now else then + datetime.timedelta(days=1)).timestamp()


def open_run(args):
    """Make a new run or go on with one."""
    if args.resume:
        out = Path(args.resume)
        config = json.loads((out / CONFIG).read_text())
        if args.steps:
            config["steps"] = args.steps
            (out / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    else:
        out = Path(args.out)
        if (out / CONFIG).exists():
            raise FileExistsError(f"{out} holds a run; go on with --resume {out}, or choose another directory")
        config = configure(args.config, {"steps": args.steps} if args.steps else {})
        config["init"] = str(Path(args.init).resolve())
        if args.contrast:
            config["contrast_file"] = str(Path(args.contrast).resolve())
        elif config["contrast"] or config["kept"]:
            raise ValueError("the config asks for counterparts: make them with contrast.py and give the file with --contrast")
        out.mkdir(parents=True, exist_ok=True)
        (out / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    run = Run(config, config["init"], out)
    if (out / STATE).exists():
        run.load()
    return run


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", help="JSON file; every key is optional")
    parser.add_argument("--init", help="checkpoint to start from, Hugging Face layout")
    parser.add_argument("--contrast", help="counterparts of the questions, made with contrast.py")
    parser.add_argument("--out", help="directory of the run")
    parser.add_argument("--resume", help="directory of a run to go on with")
    parser.add_argument("--steps", type=int, help="step budget, instead of the config's")
    parser.add_argument("--deadline", type=at, help="UTC time HH:MM at which the learning rate shall have reached 0")
    args = parser.parse_args(arguments)
    if bool(args.resume) == bool(args.init and args.out):
        parser.error("give --init and --out for a new run, or --resume")
    run = open_run(args)
    held = run.out / HELD_OUT
    if not held.exists():
        held.write_text(json.dumps(run.corpus.squad(run.held), ensure_ascii=False), encoding="utf-8")
    log = Log(run.out, run.config)
    try:
        if not run.train(log, args.deadline):
            return 143
        log.write(run.step, **run.evaluate())
        target = run.export()
        log.artifacts([run.out / CONFIG, run.out / METRICS, target / multitask.RELEVANCE, target / "model.safetensors"])
    finally:
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
