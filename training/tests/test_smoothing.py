"""Products with outliers among their inputs, as they are before and after a graph becomes int8."""

import numpy
import onnx
import onnxruntime
import pytest

import graphs
import smoothing

WIDTH, HIDDEN, OUT = 48, 64, 20


def windows(count, seed=1):
    """Return inputs as a BERT has them: at the first token one channel is far from all the others."""
    rng = numpy.random.default_rng(seed)
    for _ in range(count):
        values = rng.normal(size=(1, rng.integers(5, 12), WIDTH)).astype(numpy.float32)
        values[0, 0, 9] = 90
        values[:, :, 11] *= 3
        yield {"x": values}


@pytest.fixture
def model():
    """Return a graph of two products, x @ first and relu of that @ second."""
    rng = numpy.random.default_rng(2)
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    weights = {name: rng.normal(size=shape).astype(numpy.float32) for name, shape in (("first", (WIDTH, HIDDEN)), ("second", (HIDDEN, OUT)))}
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "first"], ["hidden"], name="a"), helper.make_node("Relu", ["hidden"], ["positive"], name="r"),
         helper.make_node("MatMul", ["positive", "second"], ["y"], name="b")], "products",
        [helper.make_tensor_value_info("x", float32, ["batch", "seq", WIDTH])],
        [helper.make_tensor_value_info("y", float32, ["batch", "seq", OUT])],
        [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(graph, samples):
    data = str(graph) if not isinstance(graph, onnx.ModelProto) else graph.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return numpy.concatenate([session.run(None, sample)[0][0] for sample in samples])


def test_the_graph_computes_the_same_until_it_is_quantised(model):
    samples = list(windows(6))
    before = run(model, samples)
    assert smoothing.prepare(model, samples) == ["a_outside", "b_outside"]
    onnx.checker.check_model(model)
    assert numpy.abs(run(model, samples) - before).max() < 1e-4 * numpy.abs(before).max()


def test_int8_loses_less(model, tmp_path):
    onnx.save(model, tmp_path / "fp32.onnx")
    graphs.quantise(tmp_path / "fp32.onnx", tmp_path / "plain.onnx")
    graphs.quantise(tmp_path / "fp32.onnx", tmp_path / "smooth.onnx", samples=list(windows(6)))
    others = list(windows(6, seed=7))
    exact = run(tmp_path / "fp32.onnx", others)
    plain, smooth = (numpy.sqrt(((run(tmp_path / f"{name}.onnx", others) - exact) ** 2).mean()) for name in ("plain", "smooth"))
    assert smooth < plain / 4
    count = graphs.operators(tmp_path / "smooth.onnx")
    assert (count["MatMulInteger"], count["MatMul"]) == (2, 2), "the outliers alone stay in float"


def test_inputs_without_outliers_change_nothing(model):
    even = [{"x": numpy.sign(sample["x"])} for sample in windows(3)]
    del model.graph.node[1:]
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("hidden", onnx.TensorProto.FLOAT, None))
    before = model.SerializeToString(deterministic=True)
    assert smoothing.prepare(model, even) == []
    assert model.SerializeToString(deterministic=True) == before


def test_a_weight_of_two_products_is_left(model):
    model.graph.node.append(onnx.helper.make_node("MatMul", ["x", "first"], ["again"], name="c"))
    assert [node.name for node, _ in smoothing.products(model.graph)] == ["b"]


def test_at_most_so_many_channels_are_computed_in_float():
    rng = numpy.random.default_rng(4)
    values = rng.normal(size=(30, 200)).astype(numpy.float32)
    values[0, :20] = numpy.linspace(50, 69, 20)
    factor = smoothing.factors(rng.normal(size=(200, 9)).astype(numpy.float32), [values], split=True)
    assert numpy.flatnonzero(factor == 0).tolist() == list(range(12, 20))
    assert (smoothing.factors(rng.normal(size=(200, 9)).astype(numpy.float32), [values], split=False) > 0).all()
