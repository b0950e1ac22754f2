"""A narrow network whose full-precision flow computes, with binary convolutions beside it.

The flow and the skip over every binary convolution are E2FIF's (Song et al., IEEE TIP 2023).
Convolutions that begin as the identity, so that a skip costs nothing to run, follow RepVGG
(Ding et al., CVPR 2021) and SESR (Bhardwaj et al., MLSys 2022).
"""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution, Convolution

PART = re.compile(r"body\.(?P<place>\d+)\.(?P<rest>.+)")  # names of a body's tensors


class Hybrid(Ends):
    """``blocks`` pairs of a binary convolution and a full-precision one of ``channels`` channels.

    The binary one adds to the flow and bends it; so the full-precision one, which is
    linear, needs no activation of its own.
    """

    def __init__(self, scale: int, blocks: int = 7, channels: int = 16) -> None:
        body = nn.Sequential()
        for _ in range(blocks):
            body.append(BinaryConvolution(channels, channels))
            body.append(Convolution(channels, channels).pass_on())
        super().__init__(scale, channels, body)
        self.blocks = blocks

    def deepen(self, shallower: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """State of a network with fewer pairs, under the names that its tensors have here.

        Its pairs are spread evenly. Those of this network that are left between pass on
        what they get, so that it begins as the shallower one (Net2Net, Chen et al., ICLR
        2016). Other states come back as they are.
        """
        parts = {name: part for name in shallower if (part := PART.fullmatch(name))}
        pairs = {int(part["place"]) // 2 for part in parts.values()}
        if not 0 < len(pairs) < self.blocks:
            return dict(shallower)
        places = [round((pair + 1) * self.blocks / len(pairs)) - 1 for pair in sorted(pairs)]
        for place in set(range(self.blocks)) - set(places):
            binary = self.get_submodule(f"body.{2 * place}")
            full = self.get_submodule(f"body.{2 * place + 1}")
            assert isinstance(binary, BinaryConvolution) and isinstance(full, Convolution)
            binary.pass_on()
            full.pass_on(rest=0)
        state = {name: tensor for name, tensor in shallower.items() if name not in parts}
        for name, part in parts.items():
            pair, second = divmod(int(part["place"]), 2)
            state[f"body.{2 * places[pair] + second}.{part['rest']}"] = shallower[name]
        return state
