"""The small causal models of paper 3: Llama-architecture decoders of several sizes, and how they are pre-trained.

All sizes read the same documents in the same order (`corpora.decoder_texts`), the same number of tokens. They differ in
width, and in the learning rate, which is lower in a wider one.
"""

import itertools
import json
import random
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from xltlib import pretraining
from xltlib.corpora.decoder_texts import DecoderDials, documents, parallel, plain, solved
from xltlib.corpora.problems import PROBLEM_LANGUAGES
from xltlib.lora import IGNORED
from xltlib.self_translation import MARKS, TICK

SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
SYMBOLS = ("\n", TICK, *MARKS)
"""Tokens of their own, so that a closing backtick ends a translation and marks stay whole."""
LONGEST = 1024
"""Tokens of a document that are read: room for nine pairs."""


UNLABELLED, LABELLED = DecoderDials(), DecoderDials(target_labels=0.1)
"""The two settings of the dial: whether web text holds solved tasks in the target languages."""


@dataclass(frozen=True)
class DecoderRecipe:
    """The settings of one decoder's pre-training; fields as in `pretraining.Recipe`. `batch` is the budget of a batch
    in tokens, padding counted: documents of like length, each read from its start, so that no text sees another one.
    `documents` of them are read again in another order when they are used up.

    `learning_rate` is AdamW's, for embeddings and norms. Muon (Jordan et al. 2024) learns the layers' matrices with
    `matrix_share` times this rate, which reaches the same loss in fewer steps than AdamW alone. `compiled`: the layers
    are compiled for the machine, which makes steps faster; a resumed training may then differ in the last digits from
    one that ran through."""

    width: int
    layers: int
    learning_rate: float
    dials: DecoderDials = UNLABELLED
    steps: int = 3400
    cooldown: int = 800
    batch: int = 2048
    documents: int = 45000
    warmup: int = 300
    seed: int = 1
    evaluate_every: int = 200
    vocabulary: int = 4000
    matrix_share: float = 5 / 3
    bfloat16: bool = True
    compiled: bool = True


RECIPES = {
    "mini-llama-0.25m": DecoderRecipe(width=64, layers=5, learning_rate=4e-3),
    "mini-llama-1m": DecoderRecipe(width=128, layers=5, learning_rate=3e-3),
    "mini-llama-1m-labelled": DecoderRecipe(width=128, layers=5, learning_rate=3e-3, dials=LABELLED),
    "mini-llama-4m": DecoderRecipe(width=256, layers=5, learning_rate=1.5e-3),
}
"""The decoders by name: non-embedding parameters; "labelled" has seen solved tasks in the target languages."""


def small_llama(vocabulary: int, recipe: DecoderRecipe) -> LlamaForCausalLM:
    """An untrained Llama of this recipe's size; input and output embeddings are one matrix."""
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=vocabulary, hidden_size=recipe.width, intermediate_size=3 * recipe.width,
        num_hidden_layers=recipe.layers, num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=True,
        max_position_embeddings=2 * LONGEST, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        attn_implementation="eager",
    ))  # fmt: skip


def size(model: torch.nn.Module) -> int:
    """Parameters that are no embeddings."""
    embedding = model.get_input_embeddings().weight
    return sum(p.numel() for p in model.parameters() if p is not embedding)


def tokenizer_lines(count: int = 6000) -> list[str]:
    """What the vocabulary is made from: documents with the five languages in equal parts, Thai too."""
    rng, lines = random.Random(f"{DecoderDials().seed}:vocabulary"), []
    for i in range(count):
        code = PROBLEM_LANGUAGES[i % len(PROBLEM_LANGUAGES)]
        kind = (solved if i % 2 else plain) if code == "en" else (parallel if i % 2 else plain)
        text = kind(code, rng)
        for symbol in SYMBOLS:
            text = text.replace(symbol, "\x00")
        lines += [line for line in text.split("\x00") if line.strip()]
    return lines


def build_tokenizer(folder: Path, vocabulary: int, lines: list[str]) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer made from lines: digits one by one, SYMBOLS whole, every text back as it was."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    as_it_is = {"normalization_rule_name": "identity", "add_dummy_prefix": False, "remove_extra_whitespaces": False}
    as_it_is["required_chars"] = string.ascii_letters + string.digits + string.punctuation.replace(TICK, "")
    spm = pretraining.train_sentencepiece(folder, lines, vocabulary, split_digits=True, **as_it_is)
    (folder / "sentencepiece.bpe.model").unlink()
    pieces = [(spm.id_to_piece(i), spm.get_score(i)) for i in range(spm.get_piece_size())]
    pieces = [pair for i, pair in enumerate(pieces) if not spm.is_control(i) and not spm.is_unknown(i)]
    known = {piece for piece, _ in pieces}
    symbols = [(symbol, 0.0) for symbol in SYMBOLS if symbol not in known]
    model = models.Unigram([(s, 0.0) for s in SPECIALS] + symbols + pieces, unk_id=1)
    tokenizer = Tokenizer(model)
    pattern = Regex("|".join(["\n", TICK, *MARKS]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Metaspace(prepend_scheme="never"),
    ])  # fmt: skip
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        model_max_length=2 * LONGEST, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def rows_of(tokenizer, recipe: DecoderRecipe) -> list[list[int]]:
    """The documents' ids, each from <s> to </s>, cut at LONGEST."""
    texts, rows = itertools.islice(documents(recipe.dials), recipe.documents), []
    while chunk := list(itertools.islice(texts, 1000)):
        rows += [[*row, tokenizer.eos_token_id][:LONGEST] for row in tokenizer(chunk)["input_ids"]]
    return rows


def optimisers(model: LlamaForCausalLM, recipe: DecoderRecipe) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings and norms."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if all(p is not matrix for matrix in matrices)]
    muon = torch.optim.Muon(
        matrices, lr=recipe.matrix_share * recipe.learning_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, pretraining.adamw(others, recipe.learning_rate)]


def train_decoder(folder: Path, recipe: DecoderRecipe, state: Path) -> dict:
    """Pre-train a decoder with next-token cross-entropy; save model and tokenizer; return facts for the card."""
    torch.manual_seed(recipe.seed)
    tokenizer = build_tokenizer(folder, recipe.vocabulary, tokenizer_lines())
    model, rows = small_llama(len(tokenizer), recipe).train(), rows_of(tokenizer, recipe)
    training = pretraining.Training(model, recipe, state, optimisers(model, recipe))
    layers = torch.compile(model.model, dynamic=True) if recipe.compiled else model.model
    lengths = list(map(len, rows))
    order = list(itertools.islice(pretraining.token_batches(lengths, recipe.batch, recipe.seed), training.stop))

    def loss_of() -> torch.Tensor:
        ids = pretraining.pad([rows[i] for i in order[training.step]], IGNORED)
        seen, wanted = ids[:, :-1], ids[:, 1:]
        hidden = layers(seen.clamp(min=0), use_cache=False).last_hidden_state  # padding stands last, unseen
        real = wanted != IGNORED
        return cross_entropy(model.lm_head(hidden[real]), wanted[real])

    def evaluate(step: int) -> bool:
        training.curve.append({"step": step, "loss": round(float(np.mean(training.losses[-100:])), 4)})
        print(json.dumps({"name": folder.name, "minutes": training.minutes()} | training.curve[-1]), flush=True)
        return False

    training.run(loss_of, evaluate)
    read = sum(lengths[i] for batch in order for i in batch)
    facts = {"minutes": training.minutes(), "steps": training.step, "tokens": read, "size": size(model)}
    facts |= {"loss": round(float(np.mean(training.losses[-100:])), 3), "curve": training.curve}
    pretraining.save(model, folder)
    return facts
