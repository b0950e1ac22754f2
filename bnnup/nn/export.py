"""A trained torch network to a program and its tensors."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import fx, nn

from bnnup.model.operations import Add, Concatenate, Operation
from bnnup.model.program import INPUT, Program
from bnnup.nn.layers import Layer


class LayerTracer(fx.Tracer):
    """Follows a network's forward pass down to its layers, and no further."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, Layer)


def export(network: nn.Module, scale: int) -> tuple[Program, dict[str, NDArray[Any]]]:
    """The network as it computes after training: a checked program and its tensors.

    The forward pass may use layers, ``+`` and ``torch.cat`` along channels; anything
    else is a TypeError.
    """
    graph = LayerTracer().trace(network)
    operations: list[Operation] = []
    tensors: dict[str, NDArray[Any]] = {}
    names: dict[fx.Node, str] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            names[node] = INPUT
        elif node.op == "call_module":
            name = names[node] = str(node.target)
            layer = network.get_submodule(name)
            assert isinstance(layer, Layer)
            operations.append(layer.operation(name, names[node.args[0]]))
            tensors |= {f"{name}.{part}": array for part, array in layer.constants().items()}
        elif node.op == "call_function":
            name = names[node] = str(node.name)
            operations.append(_function(node.target)(name, node.args, names))
        elif node.op != "output":
            raise TypeError(f"a program has nothing for {node.op} {node.target}")
    return Program(scale, tuple(operations)), tensors


def _function(target: Any) -> Callable[..., Operation]:
    functions = {operator.add: _add, torch.cat: _concatenate}
    if target not in functions:
        raise TypeError(f"a program has nothing for {target}")
    return functions[target]


def _add(name: str, args: Any, names: dict[fx.Node, str]) -> Operation:
    return Add(name, names[args[0]], names[args[1]])


def _concatenate(name: str, args: Any, names: dict[fx.Node, str]) -> Operation:
    return Concatenate(name, tuple(names[part] for part in args[0]))
