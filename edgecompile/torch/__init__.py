"""Quantization-aware training of PyTorch modules (extra "torch").

    prepared = prepare_qat(module, example_inputs)     # rounds as the compiled network will
    ...                                                # your own training loop
    freeze(prepared)                                   # for the last epochs
    network = finish(prepared)                         # what `edgecompile compile` takes

This is the only package here that imports torch and torchao when it is imported itself.
"""

from __future__ import annotations

import logging

from edgecompile.errors import MissingToolError, Problem

# torchao tells of every library for GPUs that does not load, also on machines without one.
logging.getLogger("torchao").addFilter(lambda record: "Failed to load" not in str(record.msg))
# Nor does it concern anybody how torchao registers its own constants.
logging.getLogger("torch.utils._pytree").addFilter(lambda record: "Enum subclass" not in str(record.msg))

try:
    from edgecompile.torch.convert import finish
    from edgecompile.torch.distillation import distillation_loss, mutual_loss
    from edgecompile.torch.finetune import Training, finetune
    from edgecompile.torch.lottery import LotteryTicket
    from edgecompile.torch.prepare import freeze, prepare_qat
    from edgecompile.torch.quantizer import Int8Quantizer
except ImportError as error:
    fix = "pip install 'edgecompile[torch]'"
    what = "training needs PyTorch and torchao"
    raise MissingToolError(Problem("EC5101", what, "", str(error), fix)) from error

__all__ = [
    "prepare_qat",
    "freeze",
    "finish",
    "distillation_loss",
    "mutual_loss",
    "Training",
    "finetune",
    "LotteryTicket",
    "Int8Quantizer",
]
