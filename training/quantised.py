"""The products of an encoder in training as its int8 graph will compute them.

Quantisation-aware training (Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference"): weights and inputs of each product are rounded to the numbers that the int8 graph
has for them, so that the weights settle where rounding costs little. The rounding is passed over on the way back
(straight-through estimator). What is stored are the weights as they were before rounding.

The rounding is that of graphs.quantise: weights by output channel, symmetric, -64 to 64; inputs by window, 256 steps
from the lowest to the highest value, 0 among them. Windows of a batch are rounded apart, as the Go reader runs them.
"""

import torch

LEVELS = 64  # of a weight on either side of 0: 7 of 8 bits, see graphs.quantise
STEPS = 255  # of an input from its lowest to its highest value


class Rounded(torch.autograd.Function):
    """Rounds in float32; the gradient goes through as if nothing had been done."""

    @staticmethod
    def forward(ctx, values, step):
        return (values / step).round_().mul_(step).to(values.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def weight(values):
    """Round a weight [out, in] by output channel."""
    step = values.detach().abs().amax(1, keepdim=True).clamp_(min=1e-12) / LEVELS
    return Rounded.apply(values, step)


def activation(values):
    """Round the inputs [windows, tokens, width] of a product, each window by itself."""
    low, high = torch.aminmax(values.detach().float().flatten(1), dim=1)
    step = ((high.clamp_(min=0) - low.clamp_(max=0)) / STEPS).clamp_(min=1e-12)
    return Rounded.apply(values, step.view(-1, *(1 for _ in values.shape[1:])))


class Simulation:
    """Makes the linear layers of an encoder compute as the int8 graph does, from the first call of start() on."""

    def __init__(self, encoder):
        self.layers = [m for name, m in encoder.named_modules() if isinstance(m, torch.nn.Linear) and "pooler" not in name]
        self.started = False
        self.last = (None, None)  # query, key and value have the same input: it is rounded once

    def start(self):
        if not self.started:
            self.started = True
            for layer in self.layers:
                layer.forward = lambda values, layer=layer: self.product(layer, values)

    def product(self, layer, values):
        if self.last[0] is not values:
            self.last = (values, activation(values))
        return torch.nn.functional.linear(self.last[1], weight(layer.weight), layer.bias)
