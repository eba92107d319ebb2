"""Greedy generation for many prompts at once that begin alike, as few-shot prompts do.

The beginning is read once, and its keys and values are kept once: every row attends to them where they lie, and to its
own keys beside them. Rows that have ended leave the batch. Models of other architectures, and stops that are not one
token, go through transformers' `generate`.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache

from xltlib.errors import Diverged, strings

ARCHITECTURES = ("llama", "qwen2")
"""Where the beginning is shared in attention; tested against one-by-one generation."""
SHARED = "xlt_shared_beginning"
"""Name of the attention in transformers' register."""


def shared_attention(
    module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float, dropout: float = 0.0, *,
    beginning: Sequence[tuple[Tensor, Tensor]], **_: object,
) -> tuple[Tensor, None]:  # fmt: skip
    """Softmax attention of (rows, heads, q, width) queries to keys of two kinds: those of the beginning, which all rows
    share, and each row's own ones, (rows, key heads, s, width), under an additive mask (rows, 1, q, s).

    `beginning`: keys and values (key heads, p, width) of each layer. One softmax goes over both kinds.
    """
    first_keys, first_values = beginning[module.layer_idx]
    rows, heads, q, width = query.shape
    groups, p, asked = key.shape[1], first_keys.shape[1], heads // key.shape[1] * q
    own_query = query.reshape(rows, groups, asked, width)
    together = own_query.transpose(0, 1).reshape(groups, rows * asked, width)  # the rows one below the other
    first = (together @ first_keys.mT).view(groups, rows, asked, p).transpose(0, 1)
    own = (own_query @ key.mT).view(rows, groups, asked // q, q, key.shape[2]) * scaling + attention_mask[:, :, None]
    weights = torch.cat([first * scaling, own.flatten(2, 3)], -1).softmax(-1, torch.float32).to(query.dtype)
    of_first = weights[..., :p].transpose(0, 1).reshape(groups, rows * asked, p) @ first_values
    found = of_first.view(groups, rows, asked, width).transpose(0, 1) + weights[..., p:] @ value
    return found.reshape(rows, heads, q, width).transpose(1, 2), None


AttentionInterface.register(SHARED, shared_attention)


@torch.no_grad()
def generate(
    model, tokenizer, prompts: Sequence[str], max_tokens: int, *, stop: str | None = None, share: bool = True
) -> list[str]:
    """Greedy continuations of prompts, together: the beginning that all share is read once, the rest is padded on the
    left. A continuation ends with the text `stop`, with the end of sequence or after `max_tokens` tokens.

    Whatever the company of a prompt, its continuation is what it would be alone, up to the rounding of float32.
    """
    rows = [tokenizer(prompt)["input_ids"] for prompt in strings(prompts, "prompt")]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    shared = common(rows) if share and len(rows) > 1 else 0
    ends = _ends(tokenizer, stop)
    own = model.config.model_type in ARCHITECTURES and not getattr(model.config, "sliding_window", None)
    if own and "stop_strings" not in ends:
        produced = _together(model, rows, shared, max_tokens, ends.get("eos_token_id", []), pad)
    else:
        produced = _by_transformers(model, rows, shared, max_tokens, ends, pad)
    return [cut(tokenizer, row, stop, pad) for row in produced]


def _together(
    model, rows: Sequence[Sequence[int]], shared: int, max_tokens: int, ends: Sequence[int], pad: int
) -> list[list[int]]:
    """Each row's new ids, with the end that it came to."""
    prefix, ids, mask = _padded(rows, shared, pad, model.device)
    usual = model.config._attn_implementation
    beginning = _read(model, prefix)
    width = ids.shape[1]
    positions = shared + (mask.cumsum(1) - 1).clamp(min=0)
    least = torch.finfo(model.dtype).min
    padding = torch.zeros(mask.shape, dtype=model.dtype, device=model.device).masked_fill(mask == 0, least)
    causal = torch.full((width, width), least, dtype=model.dtype, device=model.device).triu(1)
    seen = (padding[:, None, None] + causal).clamp(min=least)
    cache, outputs, alive = DynamicCache(config=model.config), [[] for _ in rows], torch.arange(len(rows))
    stops = torch.tensor(ends, dtype=torch.long, device=model.device)
    model.set_attn_implementation(SHARED)
    try:
        for _ in range(max_tokens):
            hidden = model.model(
                ids, attention_mask=seen, position_ids=positions, past_key_values=cache, use_cache=True,
                beginning=beginning,
            ).last_hidden_state[:, -1]  # fmt: skip
            scores = model.lm_head(hidden).float()
            if not torch.isfinite(scores).all():
                raise Diverged("the model's scores of the next token are not finite: its training diverged")
            new = scores.argmax(-1)
            for row, token in zip(alive.tolist(), new.tolist(), strict=True):
                outputs[row].append(token)
            going = (~torch.isin(new, stops)).nonzero()[:, 0]
            if not len(going):
                break
            if len(going) < len(new):
                cache.batch_select_indices(going)
                new, positions, padding, alive = new[going], positions[going], padding[going], alive[going.cpu()]
            ids, positions = new[:, None], positions[:, -1:] + 1
            padding = torch.nn.functional.pad(padding, (0, 1))
            seen = padding[:, None, None]
    finally:
        model.set_attn_implementation(usual)
    return outputs


def _read(model, prefix: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of a beginning (1, p), layer by layer, (key heads, p, width); p may be 0."""
    if prefix.shape[1]:
        return [(layer.keys[0], layer.values[0]) for layer in model(prefix, use_cache=True).past_key_values.layers]
    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    nothing = torch.zeros(config.num_key_value_heads, 0, width, dtype=model.dtype, device=model.device)
    return [(nothing, nothing)] * config.num_hidden_layers


def _padded(rows: Sequence[Sequence[int]], shared: int, pad: int, device) -> tuple[Tensor, Tensor, Tensor]:
    """The shared beginning (1, p), and the rest of each row, padded on the left, with its mask (rows, width)."""
    rests = [list(row[shared:]) for row in rows]
    width = max(map(len, rests))
    ids = torch.tensor([[pad] * (width - len(rest)) + rest for rest in rests], device=device)
    mask = torch.tensor([[0] * (width - len(rest)) + [1] * len(rest) for rest in rests], device=device)
    return torch.tensor([list(rows[0][:shared])], dtype=torch.long, device=device), ids, mask


def _by_transformers(
    model, rows: Sequence[Sequence[int]], shared: int, max_tokens: int, ends: dict, pad: int
) -> list[list[int]]:
    """The same by transformers' `generate`: the beginning's keys and values are repeated for every row."""
    prefix, ids, mask = _padded(rows, shared, pad, model.device)
    arguments = {}
    if shared:
        cache = copy.deepcopy(model(prefix, use_cache=True).past_key_values)
        cache.batch_repeat_interleave(len(rows))
        arguments["past_key_values"] = cache
        ids = torch.cat([prefix.expand(len(rows), -1), ids], 1)
        mask = torch.nn.functional.pad(mask, (shared, 0), value=1)
    produced = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False, num_beams=1,
        pad_token_id=pad, **arguments, **ends,
    )  # fmt: skip
    return produced[:, ids.shape[1] :].tolist()


def common(rows: Sequence[Sequence[int]]) -> int:
    """How many first tokens all rows share; at least one of each row's tokens is left over."""
    first, last = min(rows), max(rows)
    limit = min(map(len, rows)) - 1
    return next((i for i in range(limit) if first[i] != last[i]), limit)


def _ends(tokenizer, stop: str | None) -> dict:
    """What ends a generation, as `generate` takes it: the id of the stop when no other token has it inside."""
    ends = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    if stop is None:
        return {"eos_token_id": ends} if ends else {}
    holders = _holders(tokenizer, stop)
    if [text for text, _ in holders] == [stop]:
        return {"eos_token_id": [*ends, holders[0][1]]}
    return {"stop_strings": [stop], "tokenizer": tokenizer} | ({"eos_token_id": ends} if ends else {})


def _holders(tokenizer, stop: str) -> list[tuple[str, int]]:
    return [(token, i) for token, i in tokenizer.get_vocab().items() if stop in token]


def cut(tokenizer, row: Sequence[int], stop: str | None, pad: int) -> str:
    """The text of generated ids, up to the end of sequence and to the first stop, that one included."""
    end = tokenizer.eos_token_id
    stopped = next((i for i, token in enumerate(row) if token == end), len(row))
    text = tokenizer.decode(row[:stopped], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    if stop is None or stop not in text:
        return text
    return text[: text.index(stop) + len(stop)]
