"""Pretraining paper 4's models under equal conditions: one tokenizer, one corpus, the same number of tokens read."""

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from xltlib import devices, objectives, pretraining, stacks
from xltlib.corpora.documents import documents
from xltlib.errors import InputError
from xltlib.objectives import NOISES, OBJECTIVES, SPECIALS, Batch
from xltlib.stacks import Stack, StackSettings


@dataclass(frozen=True)
class ObjectiveRecipe:
    """The settings of one model's pretraining. `tokens`: read in all, padding not counted, by encoder and decoder
    together: training stops when they are used up, so that all objectives read as much. `batch`: about how many of them
    a step reads, so that all take about as many steps. `drafts`: documents before pairs are assigned. `noise`: of 2-LM
    (`objectives.NOISES`). `compiled`: on a processor, the loss over the vocabulary is compiled, which takes seconds.
    Other fields as in `pretraining.Recipe`."""

    objective: str
    seed: int = 1
    tokens: int = 3_000_000
    batch: int = 2000
    drafts: int = 30000
    learning_rate: float = 3e-3
    warmup: int = 200
    width: int = 96
    layers: int = 6
    heads: int = 4
    vocabulary: int = 6000
    pre_norm: bool = True
    noise: str = "bart"
    limit: int = 256
    evaluate_every: int = 200
    bfloat16: bool = True
    compiled: bool = True

    @property
    def settings(self) -> StackSettings:
        """The model's sizes."""
        return StackSettings(self.width, self.layers, self.heads, self.vocabulary, 2 * self.limit, self.pre_norm)


VERSIONS = {"2-LM": 2, "MLM": 2}
"""Version of pretraining, 1 where it is not given: raised when a change of code changes an objective's models. Second
versions: 2-LM's spans have the lengths that are drawn; MLM's random tokens come from the whole vocabulary."""
RECIPES = {f"mini-{name.lower()}": ObjectiveRecipe(name) for name in OBJECTIVES}
"""The shipped models, one pretraining seed each; other seeds are trained for the reference."""


def build_tokenizer(folder: Path, vocabulary: int, lines: list[str]) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer made from lines, with SPECIALS first; shared by all five models."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    spm = pretraining.train_sentencepiece(folder, lines, vocabulary)
    (folder / "sentencepiece.bpe.model").unlink()
    pieces = [(spm.id_to_piece(i), spm.get_score(i)) for i in range(spm.get_piece_size())]
    pieces = [pair for i, pair in enumerate(pieces) if not spm.is_control(i) and not spm.is_unknown(i)]
    tokenizer = Tokenizer(models.Unigram([(s, 0.0) for s in SPECIALS] + pieces, unk_id=objectives.UNKNOWN))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        mask_token="<mask>", additional_special_tokens=list(SPECIALS[5:]), model_max_length=512,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def tokenizer_lines(drafts: int) -> list[str]:
    """The sentences of the pretraining documents, both sides: what the vocabulary is made from."""
    return [text for document in documents("pretraining", drafts) for pair in document.sentences for text in pair]


class Reading:
    """The batches of an objective, the same for the same recipe: order, noise, masks and directions depend on seed and
    step alone."""

    def __init__(self, recipe: ObjectiveRecipe, tokenizer):
        found = documents("pretraining", recipe.drafts)
        self.recipe, self.examples = recipe, objectives.examples(recipe.objective, found, tokenizer, recipe.limit)
        self.vocabulary = len(tokenizer)

    def batches(self, first: int = 0) -> Iterator[Batch]:
        """Endless batches from step `first` on."""
        about = OBJECTIVES[self.recipe.objective]
        times = 2 if about.double and about.documents else 1  # 2-LM reads a document twice
        lengths = [times * example.length for example in self.examples]
        order = pretraining.token_batches(lengths, self.recipe.batch, self.recipe.seed, first)
        for step in itertools.count(first):
            rng = random.Random(self.recipe.seed * 10**6 + step)
            chosen = [self.examples[i] for i in next(order)]
            yield objectives.batch(self.recipe.objective, chosen, rng, NOISES[self.recipe.noise], self.vocabulary)

    def plan(self) -> list[int]:
        """Tokens read up to each step; as many steps as the recipe's tokens allow, at least one."""
        read = list(itertools.takewhile(
            lambda total: total <= self.recipe.tokens, itertools.accumulate(batch.tokens for batch in self.batches())
        ))  # fmt: skip
        if not read:
            raise InputError(f"{self.recipe.tokens} tokens are less than one batch: raise tokens or lower batch")
        return read


def pretrain(folder: Path, recipe: ObjectiveRecipe, tokenizer, state: Path, device: str = "cpu") -> tuple[Stack, dict]:
    """Pretrain a model until its tokens are used up; the model in evaluation mode, on the processor, and the facts for
    its card.

    AdamW, warm-up, then a line down to a twentieth of the rate. What is killed goes on from `state`, with the same
    numbers. `device`: one of `devices.DEVICES`. Weights begin with the same numbers and batches are the same on each of
    them; dropout draws others, and sums come in another order, so that the models differ. InputError for a device that
    is not here.
    """
    with devices.repeatable(device) as where:
        return _pretrain(folder, recipe, tokenizer, state, where)


def _pretrain(
    folder: Path, recipe: ObjectiveRecipe, tokenizer, state: Path, device: torch.device
) -> tuple[Stack, dict]:
    torch.manual_seed(recipe.seed)
    model = Stack(recipe.objective, replace(recipe.settings, vocabulary=len(tokenizer))).to(device)
    reading = Reading(recipe, tokenizer)
    read = reading.plan()
    how = pretraining.Recipe(
        steps=0, cooldown=len(read), learning_rate=recipe.learning_rate, tokens=recipe.batch, bitext=0,
        warmup=recipe.warmup, seed=recipe.seed, evaluate_every=recipe.evaluate_every, bfloat16=recipe.bfloat16,
    )  # fmt: skip
    training = pretraining.Training(model.train(), how, state)
    batches = reading.batches(training.step)
    # on a GPU the compiler times its kernels and takes the fastest one, which may be another one the next time
    compiled = recipe.compiled and device.type == "cpu"
    word_loss = torch.compile(stacks.word_loss, dynamic=True) if compiled else stacks.word_loss

    last = min(100, recipe.evaluate_every)  # losses of few steps vary, and those of long ago say little

    def evaluate(step: int) -> bool:
        loss = round(float(np.mean(training.losses[-last:])), 4)
        training.curve.append({"step": step, "tokens": read[step - 1], "loss": loss})
        print(json.dumps({"name": folder.name, "minutes": training.minutes()} | training.curve[-1]), flush=True)
        return False

    training.run(lambda: model.loss(next(batches).to(device), word_loss), evaluate)
    facts = {"minutes": training.minutes(), "steps": training.step, "tokens": read[-1], "size": stacks.size(model)}
    facts |= {"loss": round(float(np.mean(training.losses[-last:])), 3), "curve": training.curve}
    return model.cpu().eval(), facts
