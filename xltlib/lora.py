"""Fine-tuning a causal language model on prompts and outputs with LoRA (Hu et al. 2022), as Self-Translate-Train does.

The loss is the cross-entropy of the output's tokens alone, the end of sequence among them; the prompt is read, not
learned.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xltlib import training
from xltlib.errors import InputError

IGNORED = -100
"""Label of a token that the loss does not count."""


@dataclass(frozen=True)
class LoraSettings:
    """Hyper-parameters of Table 7, and what the paper does not give: rank, alpha and targets (all linear layers).
    `warmup` is the share of steps; `limit` the longest example in tokens."""

    learning_rate: float
    steps: int = 1000
    batch: int = 64
    warmup: float = 0.05
    weight_decay: float = 0.1
    rank: int = 16
    alpha: int = 32
    limit: int = 1024


@dataclass(frozen=True)
class Tokens:
    """Examples as ids: each prompt and output in one row, and how many of its first ids are the prompt."""

    rows: tuple[tuple[int, ...], ...]
    prompts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, chosen: Sequence[int], pad: int, device="cpu") -> tuple[Tensor, Tensor, Tensor]:
        """(ids, mask, labels), each (n, length), padded on the right; labels are IGNORED but for outputs."""
        width = max(len(self.rows[i]) for i in chosen)
        ids = torch.full((len(chosen), width), pad)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for row, i in enumerate(chosen):
            found = torch.tensor(self.rows[i])
            ids[row, : len(found)], mask[row, : len(found)] = found, 1
            labels[row, self.prompts[i] : len(found)] = found[self.prompts[i] :]
        return ids.to(device), mask.to(device), labels.to(device)


def tokens(examples: Sequence[tuple[str, str]], tokenizer, limit: int) -> Tokens:
    """(prompt, output) pairs as ids, the output closed by the end of sequence. Prompt and output are tokenised apart:
    in use the model sees the prompt alone.

    InputError names the first example that is longer than `limit` tokens.
    """
    if not examples:
        raise InputError("the training set is empty")
    rows, prompts = [], []
    for i, (prompt, output) in enumerate(examples):
        first = tokenizer(prompt)["input_ids"]
        row = [*first, *tokenizer(output, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        if len(row) > limit:
            raise InputError(f"example {i} has {len(row)} tokens, more than {limit}: raise the limit or leave it out")
        rows.append(tuple(row))
        prompts.append(len(first))
    return Tokens(tuple(rows), tuple(prompts))


def output_loss(model, ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the tokens whose label is not IGNORED; logits are computed for these alone."""
    hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    counted = wanted != IGNORED
    return cross_entropy(model.lm_head(hidden[counted]).float(), wanted[counted])


def adapted(model, settings: LoraSettings):
    """The model with fresh LoRA adapters on all its linear layers but the output embedding; nothing else trains."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    return get_peft_model(model, config)


def fine_tune(model, examples: Tokens, settings: LoraSettings, seed: int, *, pad: int, bfloat16: bool = False):
    """Tune a causal model on examples for `settings.steps` steps; returns (the model with its adapters merged, each
    step's loss). Batches are of like length, their order and the adapters' start depend on `seed`.

    `bfloat16`: matrix products in bfloat16. Diverged as soon as a loss is not finite.
    """
    torch.manual_seed(seed)
    tuned, rng = adapted(model, settings), random.Random(seed)
    device, lengths = model.device, [len(row) for row in examples.rows]

    def loss_of(chosen: list[int]) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            return output_loss(tuned.get_base_model(), *examples.batch(chosen, pad, device))

    schedule = training.Settings(
        batch=settings.batch, learning_rate=settings.learning_rate, warmup=settings.warmup,
        weight_decay=settings.weight_decay, schedule="cosine",
    )  # fmt: skip
    epoch = lambda: training.length_batches(lengths, settings.batch, rng)  # noqa: E731
    losses = training.optimise(tuned, schedule, settings.steps, epoch, loss_of, about=f"LoRA, seed {seed}")
    return tuned.merge_and_unload().eval(), losses
