"""Make the products of a graph fit for int8, by what their inputs are on real windows.

In a BERT, [CLS] has values in a few channels that are ten times those of all others, and they set the step by which a
whole window is rounded. Two things are done to a product x @ W about it:

- The channels that stand out most are computed in float, beside the others (Dettmers et al. 2022, "LLM.int8(): 8-bit
  matrix multiplication for transformers at scale"): x @ W = x[others] @ W[others] + x[outliers] @ W[outliers].
- Other channels are divided by a number before the product, and their rows of W are multiplied by it (Xiao et al.
  2022, "SmoothQuant: accurate and efficient post-training quantization for large language models").

The graph computes the same as before until it is quantised.
"""

import numpy
import onnx
import onnxruntime
from transformers import AutoTokenizer

import spans
import squad

LEVELS = 64  # of a weight on either side of 0: 7 of 8 bits, see graphs.quantise
STEPS = 255  # of an input from its lowest to its highest value
STANDS_OUT = 4.0  # times the median over the channels of their greatest values
MOST = 8  # channels of a product in float
# Powers of (greatest value of a channel / median of the channels) to divide a channel by.
POWERS = (0.0, 0.5, 1.0)
WINDOWS = 64


def windows(checkpoint, inputs, files, count=WINDOWS):
    """Yield inputs of a graph: the first windows of questions of SQuAD files, at even distances."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    for path in files:
        for pair in squad.spread(list(squad.read(path)), -(-count // len(files))):
            yield spans.windows(tokenizer, pair.question, pair.passage)[0].inputs(inputs)


def products(graph):
    """Return the nodes whose second input is a weight of their own that becomes int8, with that weight."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    its = [(node, weights[node.input[1]]) for node in graph.node
           if node.op_type in ("MatMul", "Attention") and node.input[1] in weights]
    names = [weight.name for _, weight in its]
    return [(node, weight) for node, weight in its if names.count(weight.name) == 1 and len(weight.dims) == 2]


def measure(model, samples):
    """Return the inputs [tokens, width] of each product, window for window, by the name of the tensor."""
    names = sorted({node.input[0] for node, _ in products(model.graph)})
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    del wider.graph.output[:]
    wider.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(wider.SerializeToString(), providers=["CPUExecutionProvider"])
    found = {name: [] for name in names}
    for sample in samples:
        for name, values in zip(names, session.run(names, sample)):
            found[name].append(values.reshape(-1, values.shape[-1]))
    return found


def rounded(inputs):
    """Round the inputs [tokens, width] of one window as DynamicQuantizeLinear does."""
    step = max((max(inputs.max(), 0) - min(inputs.min(), 0)) / STEPS, 1e-12)
    return numpy.round(inputs / step) * step


def error(weight, its, factor):
    """Return the squared error of a product in int8 whose inputs are multiplied by factor; where that is 0 they do not count."""
    inner = numpy.where(factor > 0, 1 / numpy.maximum(factor, 1e-12), 0)[:, None] * weight
    step = numpy.maximum(numpy.abs(inner).max(0), 1e-12) / LEVELS
    inner = numpy.round(inner / step) * step
    exact = weight * (factor > 0)[:, None]
    return sum(float(((rounded(x * factor) @ inner - x @ exact) ** 2).sum()) for x in its)


def factors(weight, its, split):
    """Return what to multiply the channels [rows] of the inputs by, 0 for those that are to be computed in float."""
    greatest = numpy.stack([numpy.abs(x).max(0) for x in its]).max(0)
    ratio = greatest / max(numpy.median(greatest), 1e-12)
    inside = numpy.ones_like(ratio)
    if split:
        first = numpy.argsort(-ratio, kind="stable")[:MOST]
        inside[first[ratio[first] > STANDS_OUT]] = 0
    choices = [(inside * numpy.maximum(ratio, 1) ** -power).astype(numpy.float32) for power in POWERS]
    return min(choices, key=lambda factor: error(weight, its, factor))


def prepare(model, samples):
    """Change the products of a graph in place, and return the names of the nodes that must stay in float.

    samples are inputs of the graph: real ones, some dozens. Attention nodes have nothing computed beside them: their
    outputs are no product any more.
    """
    its = measure(model, samples)
    floats = []
    for node, stored in products(model.graph):
        weight = onnx.numpy_helper.to_array(stored)
        factor = factors(weight, its[node.input[0]], node.op_type == "MatMul")
        if (factor == 1).all():
            continue
        outliers = numpy.flatnonzero(factor == 0)
        inner = weight * numpy.where(factor > 0, 1 / numpy.maximum(factor, 1e-12), 0)[:, None]
        stored.CopyFrom(onnx.numpy_helper.from_array(inner.astype(numpy.float32), stored.name))
        floats += rewrite(model.graph, node, factor, outliers, weight[outliers])
    return floats


def rewrite(graph, node, factor, outliers, rows):
    """Multiply the input of a node by [width] factors, and add the product of the outliers' channels to its output."""
    name, source, result = node.name or node.output[0], node.input[0], node.output[0]

    def constant(what, values):
        graph.initializer.append(onnx.numpy_helper.from_array(values, f"{name}_{what}"))
        return f"{name}_{what}"

    def make(kind, inputs, output, what, **attributes):
        return onnx.helper.make_node(kind, inputs, [output], name=f"{name}_{what}", **attributes)

    place = next(i for i, other in enumerate(graph.node) if other.output[0] == result)
    graph.node.insert(place, make("Mul", [source, constant("factors", factor)], f"{name}_smooth", "smooth"))
    graph.node[place + 1].input[0] = f"{name}_smooth"
    if not len(outliers):
        return []
    graph.node[place + 1].output[0] = f"{name}_inside"
    product = f"{name}_outside"
    for i, new in enumerate([
        make("Gather", [source, constant("outliers", outliers.astype(numpy.int64))], f"{name}_outlying", "gather", axis=-1),
        make("MatMul", [f"{name}_outlying", constant("rows", rows)], product, "outside"),
        make("Add", [f"{name}_inside", product], result, "add"),
    ]):
        graph.node.insert(place + 2 + i, new)
    return [product]
