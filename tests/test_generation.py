"""Generation for many prompts at once is plain greedy decoding of each, and company changes nothing."""

from types import SimpleNamespace

import pytest
import torch
from models_for_tests import decoder_folder

from xltlib import generation
from xltlib.generation import generate
from xltlib.models import load_causal, load_tokenizer
from xltlib.self_translation import translation_prompt

SAMPLES = [("One apple.", "Ein Apfel."), ("Two pears.", "Zwei Birnen.")]
PROMPTS = [translation_prompt(SAMPLES, text, "de") for text in ("Five", "Anna has 12 eggs at home.", "Six eggs.", "x")]


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("stop", ["`", None])
def test_company_changes_no_continuation(kind, stop):
    model, tokenizer = load_causal(str(decoder_folder(kind))), load_tokenizer(str(decoder_folder(kind)))
    usual = model.config._attn_implementation
    together = generate(model, tokenizer, PROMPTS, 20, stop=stop)
    alone = [generate(model, tokenizer, [prompt], 20, stop=stop)[0] for prompt in PROMPTS]
    padded = generate(model, tokenizer, PROMPTS, 20, stop=stop, share=False)
    assert together == alone == padded and len(set(together)) > 1
    assert model.config._attn_implementation == usual


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_transformers_generates_the_same(kind, share, monkeypatch):
    """The way of other architectures, and of stops that are not one token."""
    model, tokenizer = load_causal(str(decoder_folder(kind))), load_tokenizer(str(decoder_folder(kind)))
    ours = generate(model, tokenizer, PROMPTS, 20, stop="`", share=share)
    monkeypatch.setattr(generation, "ARCHITECTURES", ())
    monkeypatch.setattr(generation, "_together", None)
    assert generate(model, tokenizer, PROMPTS, 20, stop="`", share=share) == ours


@pytest.mark.parametrize("p", [0, 7])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_shared_attention_is_attention_with_the_beginning_repeated(groups, p):
    """Against PyTorch's attention over keys where each row has its own copy of the beginning."""
    torch.manual_seed(0)
    query, (key, value) = torch.randn(3, 4, 5, 8), torch.randn(2, 3, groups, 6, 8)
    first = torch.randn(2, groups, p, 8)
    mask = torch.zeros(3, 1, 5, 6).masked_fill(torch.rand(3, 1, 5, 6) < 0.3, torch.finfo(torch.float32).min)
    module = SimpleNamespace(layer_idx=1)
    ours, _ = generation.shared_attention(module, query, key, value, mask, 0.3, beginning=[None, tuple(first)])
    keys, values = (
        torch.cat([part.expand(3, -1, -1, -1), own], 2).repeat_interleave(4 // groups, 1)
        for part, own in zip(first, (key, value), strict=True)
    )
    whole = torch.nn.functional.pad(mask, (p, 0))
    naive = torch.nn.functional.scaled_dot_product_attention(query, keys, values, whole, scale=0.3)
    assert torch.allclose(ours, naive.transpose(1, 2), atol=1e-5)


def test_a_sliding_window_goes_through_transformers(monkeypatch):
    model, tokenizer = load_causal(str(decoder_folder("qwen2"))), load_tokenizer(str(decoder_folder("qwen2")))
    monkeypatch.setattr(model.config, "sliding_window", 4, raising=False)
    monkeypatch.setattr(generation, "_by_transformers", lambda *a: [[tokenizer.eos_token_id]])
    assert generate(model, tokenizer, PROMPTS[:1], 5) == [""]


def naive(model, tokenizer, prompt: str, most: int, stop: str) -> str:
    """Greedy decoding by hand, one token at a time and no cache."""
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    for _ in range(most):
        token = model(ids).logits[0, -1].argmax()
        ids = torch.cat([ids, token.view(1, 1)], dim=1)
        if token == tokenizer.eos_token_id or stop in tokenizer.decode(ids[0, start:]):
            break
    text = tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    return text[: text.index(stop) + len(stop)] if stop in text else text


def test_generation_is_plain_greedy_decoding():
    model, tokenizer = load_causal(str(decoder_folder())), load_tokenizer(str(decoder_folder()))
    with torch.no_grad():
        expected = [naive(model, tokenizer, prompt, 15, "`") for prompt in PROMPTS]
    assert generate(model, tokenizer, PROMPTS, 15, stop="`") == expected


def test_a_stop_inside_other_tokens_still_stops():
    """A tokenizer of the hub may have tokens that hold a backtick and more; then the text decides, not an id."""
    tokenizer = load_tokenizer(str(decoder_folder()))
    assert generation._ends(tokenizer, "`")["eos_token_id"][-1] == tokenizer.convert_tokens_to_ids("`")
    assert "stop_strings" in generation._ends(tokenizer, "a")
    model = load_causal(str(decoder_folder()))
    letters = generate(model, tokenizer, PROMPTS[:2], 20, stop="a")
    assert all("a" not in text[:-1] for text in letters)


def test_the_shared_beginning_leaves_a_token_to_each():
    assert generation.common([[1, 2, 3], [1, 2]]) == 1 and generation.common([[1, 2, 3], [1, 2, 4]]) == 2
    assert generation.common([[1], [2]]) == 0 and generation.common([[5, 6], [5, 6]]) == 1
