"""Dropout whose masks cost little on a CPU."""

from __future__ import annotations

import torch
from torch import nn

LEVELS = 2**16


class FastDropout(nn.Dropout):
    """Dropout that cuts random 64-bit numbers in four on a CPU, where torch draws one for every unit.

    The share left out is rounded to a multiple of 1/65,536, and what is kept is divided by exactly the share that is kept.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Leave units out in training.

        Parameters
        ----------
        input
            Any shape.

        Returns
        -------
        The same shape.
        """
        if not self.training or not self.p or input.device.type != "cpu":
            return super().forward(input)
        left_out = round(self.p * LEVELS)
        numbers = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        units = numbers.view(torch.int16)[: input.numel()].view(input.shape)
        mask = (units >= left_out - LEVELS // 2).to(input.dtype)
        return input * mask.mul_(LEVELS / (LEVELS - left_out))
