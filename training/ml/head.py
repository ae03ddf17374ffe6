"""The loss of a causal model, with logits made only where there is a target.

On short dialogues with a masked prompt that saves most of the output layer, the largest matrix of a small model.
Works on any transformers causal model; knows nothing of trainers.
"""

from __future__ import annotations

from functools import wraps
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.modeling_utils import PreTrainedModel

from training.ml.batches import IGNORED


def fast_gelu(model: nn.Module) -> None:
    """Swap the Python-level tanh GELU of GPT-2 for torch's own: the same function in one kernel."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == "NewGELUActivation":
                setattr(parent, name, nn.GELU(approximate="tanh"))


def attach(model: PreTrainedModel) -> None:
    """Teach the model's forward the argument `targets`: labels (B, T) -> logits (targets, vocabulary).

    Models that do more after the output layer (soft caps, scales) are found by trying, and go the long way.
    """
    plain = model.forward
    lean = _is_plain_head(model)

    @wraps(plain)  # generate() and Trainer look at the signature
    def forward(*args: Any, targets: Tensor | None = None, **kwargs: Any) -> Any:
        if targets is None:
            return plain(*args, **kwargs)
        rows = _rows_before_targets(targets)
        if not lean:
            return plain(*args, use_cache=False, **kwargs).logits.flatten(0, 1).index_select(0, rows)
        hidden = model.base_model(*args, use_cache=False, **kwargs)[0]  # (B, T, D)
        return model.get_output_embeddings()(hidden.flatten(0, 1).index_select(0, rows))

    model.forward = forward


def _rows_before_targets(labels: Tensor) -> Tensor:
    """Indices into the flattened (B * T) positions that have to predict a target."""
    ahead = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    return (ahead != IGNORED).flatten().nonzero().squeeze(1)


@torch.no_grad()
def _is_plain_head(model: PreTrainedModel) -> bool:
    training = model.training
    model.eval()
    ids = torch.arange(1, 6, device=model.device).unsqueeze(0)
    expected = model(input_ids=ids, use_cache=False).logits
    found = model.get_output_embeddings()(model.base_model(input_ids=ids, use_cache=False)[0])
    model.train(training)
    return bool(torch.allclose(expected.float(), found.float(), rtol=1e-4, atol=1e-5))


class _SummedLoss(torch.autograd.Function):
    """Cross entropy whose backward reuses the forward's buffer: torch's own makes three more of its size."""

    @staticmethod
    def forward(context: Any, logits: Tensor, targets: Tensor) -> Tensor:
        logs = torch.log_softmax(logits, dim=-1, dtype=torch.float32)  # (N, V)
        context.save_for_backward(logs, targets)
        context.dtype = logits.dtype
        return -logs.gather(1, targets[:, None]).sum()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logs, targets = context.saved_tensors
        change = logs.exp_()  # softmax minus one-hot
        change[torch.arange(len(targets), device=targets.device), targets] -= 1.0
        return change.mul_(gradients[0]).to(context.dtype), None


def target_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed negative log-likelihood in nats. logits (N, V) in any precision; labels (B, T) with N targets.

    Its backward may run only once.
    """
    return cast("Tensor", _SummedLoss.apply(logits, _targets(labels)))


@torch.no_grad()
def count_right(logits: Tensor, labels: Tensor) -> tuple[int, int]:
    """(right ids, rows whose every target is right): teacher-forced argmax, as OpenAI's result files define them."""
    chosen = labels[:, 1:] != IGNORED  # (B, T - 1)
    right = torch.zeros_like(chosen)
    right[chosen] = logits.argmax(dim=-1) == _targets(labels)
    rows = chosen.any(dim=1)
    exact = ((right | ~chosen).all(dim=1) & rows).sum()
    return int(right.sum()), int(exact)


def _targets(labels: Tensor) -> Tensor:
    shifted = labels[:, 1:]
    return shifted[shifted != IGNORED]
