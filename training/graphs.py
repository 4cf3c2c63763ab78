"""Turn a plain ONNX graph into the graphs of a bundle, one for each precision.

Both graphs use ONNX Runtime's fused operators (EmbedLayerNormalization,
Attention, SkipLayerNormalization, BiasGelu), which every build for CPU and CUDA
has: they open in half the time, because less is left to optimise, and run some
percent faster. The fusions are the portable ones; layouts that depend on the
processor are left to the moment when the graph is opened.
"""

import collections
import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions

import smoothing

# Model types of Hugging Face whose encoder the fusions of ONNX Runtime know
# under the name "bert".
FUSABLE = ("bert", "distilbert", "electra", "roberta", "xlm-roberta")


def write(plain, directory, config, precisions, samples=None):
    """Write the graphs of the wanted precisions and return their file names; samples are those of quantise."""
    files = {}
    with tempfile.TemporaryDirectory(dir=Path(plain).parent) as scratch:
        source = Path(scratch) / "fused.onnx"
        fuse(plain, source, config)
        if "fp32" in precisions:
            files["fp32"] = "model.fp32.onnx"
            save(onnx.load(source), directory / files["fp32"])
        if "int8" in precisions:
            files["int8"] = "model.int8.onnx"
            quantise(source, directory / files["int8"], samples=samples)
    return files


def fuse(source, target, config):
    """Replace groups of operators by fused ones; unknown model types stay as they are."""
    if config.model_type not in FUSABLE:
        save(onnx.load(source), target)
        return
    options = FusionOptions("bert")
    # The approximate GELU is another function than the one that was trained.
    options.enable_gelu_approximation = False
    fused = optimizer.optimize_model(
        str(source),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        optimization_options=options,
        opt_level=0,
        use_gpu=False,
    )
    # This also declares the domain of the fused operators.
    fused.save_model_to_file(str(target))
    count = operators(target)["Attention"]
    if count != config.num_hidden_layers:
        raise RuntimeError(f"{count} of {config.num_hidden_layers} attention layers were fused; the export has changed its shape")


def quantise(source, target, per_channel=True, reduce_range=True, only=None, samples=None):
    """Write a dynamically quantised graph: int8 weights, activations quantised while it runs.

    Weights use 7 of 8 bits (reduce_range), because processors with AVX2 but
    without VNNI add two products in 16 bits, which overflow otherwise. With
    samples, inputs of the graph, outliers are taken care of (smoothing.py).
    """
    model = onnx.load(source)
    exclude = smoothing.prepare(model, samples) if samples else []
    quantize_dynamic(
        model,
        target,
        nodes_to_exclude=exclude,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        reduce_range=reduce_range,
        op_types_to_quantize=only,
        # Shape inference does not know the fused operators.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    save(onnx.load(target), target)


class Batches(CalibrationDataReader):
    """Gives the inputs that the ranges of a static quantisation are measured on."""

    def __init__(self, inputs):
        self.inputs = iter(inputs)

    def get_next(self):
        return next(self.inputs, None)


def quantise_static(source, target, inputs, reduce_range=True):
    """Write a statically quantised graph: ranges of activations are fixed beforehand, from the given inputs.

    Matrix products only, weights by channel. The fused operators have no static
    form, so the source is the graph as it was exported.
    """
    quantize_static(
        source,
        target,
        Batches(inputs),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=reduce_range,
        op_types_to_quantize=["MatMul"],
        # Products of two activations (attention) lose most and cost least.
        extra_options={"MatMulConstBOnly": True},
    )
    save(onnx.load(target), target)


def operators(path):
    """Count the operators of a graph by type."""
    return collections.Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def save(model, path):
    """Write a graph so that equal graphs have equal bytes."""
    Path(path).write_bytes(model.SerializeToString(deterministic=True))
