"""Write the mean of the weights of checkpoints that train.py made from one another.

    python average.py OUT CHECKPOINT CHECKPOINT ...

Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time". Everything but the weights is the last checkpoint's; train.json names them all.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import export
import multitask
import train

WEIGHTS = ("model.safetensors", multitask.RELEVANCE)


def average(out, checkpoints):
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another directory")
    shutil.copytree(checkpoints[-1], out)
    for name in WEIGHTS:
        its = [load_file(Path(checkpoint) / name) for checkpoint in checkpoints]
        shapes = [{key: value.shape for key, value in tensors.items()} for tensors in its]
        if any(other != shapes[0] for other in shapes):
            raise ValueError(f"{name}: the checkpoints have tensors of other names or shapes")
        mean = {key: torch.stack([tensors[key].float() for tensors in its]).mean(0).to(value.dtype).contiguous() for key, value in its[-1].items()}
        save_file(mean, out / name, metadata={"format": "pt"})
    records = {export.checkpoint_name(checkpoint): json.loads((Path(checkpoint) / train.CONFIG).read_text(encoding="utf-8")) for checkpoint in checkpoints}
    (out / train.CONFIG).write_text(json.dumps({"mean_of": records}, indent=2) + "\n", encoding="utf-8")
    return out


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("checkpoints", nargs="+")
    args = parser.parse_args(arguments)
    print(average(args.out, args.checkpoints))
    return 0


if __name__ == "__main__":
    sys.exit(main())
