"""The products of a model in training against those of its int8 graph."""

import numpy
import onnx
import onnxruntime
import pytest
import torch

import graphs
import quantised


@pytest.fixture
def layer():
    torch.manual_seed(3)
    layer = torch.nn.Linear(48, 20)
    with torch.no_grad():
        layer.weight[4] *= 30  # a channel of other size than the rest
    return layer


def run(layer, path, inputs):
    """Return what the int8 graph of a layer makes of inputs [windows, tokens, width], a window a call."""
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "product",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", "seq", layer.in_features])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", "seq", layer.out_features])],
        [onnx.numpy_helper.from_array(layer.weight.detach().numpy().T.copy(), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path / "plain.onnx")
    graphs.quantise(path / "plain.onnx", path / "int8.onnx")
    assert graphs.operators(path / "int8.onnx")["MatMulInteger"] == 1
    session = onnxruntime.InferenceSession(str(path / "int8.onnx"), providers=["CPUExecutionProvider"])
    return numpy.concatenate([session.run(None, {"x": window[None]})[0] for window in inputs.numpy()])


def test_products_are_those_of_the_int8_graph(layer, tmp_path):
    inputs = torch.randn(3, 7, 48) * torch.tensor([1.0, 5.0, 0.1]).view(3, 1, 1) + 0.3
    inputs[1, 0, 9] = 60.0  # as [CLS] has it: one value far from the others
    want = run(layer, tmp_path, inputs) + layer.bias.detach().numpy()
    exact = layer(inputs)
    simulation = quantised.Simulation(torch.nn.Sequential(layer))
    assert torch.equal(layer(inputs), exact), "nothing is rounded before start()"
    simulation.start()
    got = layer(inputs).detach().numpy()
    error = numpy.abs(exact.detach().numpy() - want).max(axis=(1, 2))
    assert (numpy.abs(got - want).max(axis=(1, 2)) < error / 50).all(), "closer to the graph by far than without rounding"


def test_gradients_pass_the_rounding(layer):
    quantised.Simulation(torch.nn.Sequential(layer)).start()
    inputs = torch.randn(2, 5, 48, requires_grad=True)
    layer(inputs).sum().backward()
    rounded = quantised.activation(inputs.detach())
    assert torch.allclose(inputs.grad, quantised.weight(layer.weight.detach()).sum(0).expand_as(inputs))
    assert torch.allclose(layer.weight.grad, rounded.sum((0, 1)).expand_as(layer.weight))


def test_zero_inputs_stay_zero():
    assert torch.equal(quantised.activation(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))
    assert torch.equal(quantised.weight(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_equal_inputs_are_rounded_once(layer, monkeypatch):
    count = []
    rounding = quantised.activation
    monkeypatch.setattr(quantised, "activation", lambda values: count.append(1) or rounding(values))
    query, key = layer, torch.nn.Linear(48, 8)
    quantised.Simulation(torch.nn.ModuleList([query, key])).start()
    inputs = torch.randn(1, 2, 48)
    query(inputs), key(inputs)
    assert len(count) == 1
    query(inputs.clone())
    assert len(count) == 2
