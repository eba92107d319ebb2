"""Fine-tuning with LoRA: the loss counts outputs alone, adapters alone learn, the same seed gives the same model."""

import math

import pytest
import torch
from models_for_tests import decoder_folder
from refusals import refused
from torch.nn.functional import log_softmax

from xltlib import lora, training
from xltlib.lora import IGNORED, LoraSettings
from xltlib.models import load_causal, load_tokenizer

EXAMPLES = [("What is 1 + 1?\n\n", "2"), ("Who is here?\n\n", "Anna and Omar"), ("Say a.\n\n", "a"), ("b\n\n", "b b")]


@pytest.fixture(params=["llama", "qwen2"])
def pair(request):
    """A fresh random model and its tokenizer."""
    folder = str(decoder_folder(request.param))
    return load_causal(folder), load_tokenizer(folder)


def test_labels_are_the_output_and_its_end(pair):
    tokenizer = pair[1]
    found = lora.tokens(EXAMPLES, tokenizer, 100)
    ids, mask, labels = found.batch([0, 1], tokenizer.pad_token_id)
    for row, (prompt, output) in enumerate(EXAMPLES[:2]):
        counted = labels[row][labels[row] != IGNORED]
        assert tokenizer.decode(counted[:-1]) == output and counted[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids[row][mask[row].bool()], skip_special_tokens=True) == prompt + output


def test_the_loss_against_a_loop(pair):
    model, tokenizer = pair
    found = lora.tokens(EXAMPLES, tokenizer, 100)
    batch = found.batch(range(4), tokenizer.pad_token_id)
    losses = []
    with torch.no_grad():
        for row, start in zip(found.rows, found.prompts, strict=True):
            scores = log_softmax(model(torch.tensor([row])).logits[0], dim=-1)
            losses += [-scores[i - 1, row[i]] for i in range(start, len(row))]
        assert lora.output_loss(model, *batch).item() == pytest.approx(float(sum(losses) / len(losses)), rel=1e-5)


def test_only_adapters_learn_and_merging_keeps_the_answer(pair):
    model, tokenizer = pair
    before = {name: p.clone() for name, p in model.named_parameters()}
    adapted = lora.adapted(model, LoraSettings(1e-2, rank=4, alpha=8))
    learning = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert learning and all("lora_" in name for name in learning)
    assert not any("embed" in name or "lm_head" in name for name in learning)
    found = lora.tokens(EXAMPLES, tokenizer, 100)
    base = adapted.unload()
    tuned, losses = lora.fine_tune(base, found, LoraSettings(3e-2, steps=30, batch=4, rank=4, alpha=8), 1, pad=0)
    assert len(losses) == 30 and losses[-1] < 0.7 * losses[0]
    changed = {name for name, p in tuned.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("proj" in name for name in changed)


def test_the_same_seed_gives_the_same_model(pair):
    _, tokenizer = pair
    found = lora.tokens(EXAMPLES, tokenizer, 100)
    runs = [
        lora.fine_tune(load_causal(pair[0].name_or_path), found, LoraSettings(1e-2, steps=4, batch=2), seed, pad=0)[1]
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_bad_examples_are_refused(pair):
    refused(lambda: lora.tokens([], pair[1], 10), "the training set is empty")
    refused(lambda: lora.tokens(EXAMPLES, pair[1], 8), "example 0 has", "more than 8")


def test_the_cosine_schedule_warms_up_and_ends_near_zero():
    settings = training.Settings(learning_rate=2.0, warmup=0.05, schedule="cosine")
    rates = [training.rate_at(settings, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(2.0 / 5) and max(rates) == pytest.approx(2.0, abs=0.01) and rates[-1] < 0.01
    assert rates[52] == pytest.approx(1 - math.cos(math.pi * (48 / 95)), abs=1e-6)
    constant = training.Settings(learning_rate=2.0, schedule="constant")
    assert training.rate_at(constant, 0, 10) == training.rate_at(constant, 9, 10) == 2.0
