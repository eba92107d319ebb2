"""Self-translating fields: ours, in batches that read the shared few-shot prefix once, against one-by-one generation.

    python benchmarks/self_translation.py [--fields 1000] [--decoder mini-llama-1m] [--language de] [--batch 128]

Both decode greedily to the closing backtick with the same model, prompts and limit, in float32 on one thread. The other
side calls transformers' `generate` on one prompt at a time, its key-value cache on, with the backtick's id as an end.
Fields are questions of English training problems with eight human-written samples, as in the course.

The sides are interleaved in slices of the fields, in one process; time is CPU time. Outputs must be identical. Exit 1
when they differ or the ratio is below FLOOR.
"""

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch

from xltlib import self_train
from xltlib.generation import cut
from xltlib.models import load_causal, load_tokenizer
from xltlib.scales import self_scale
from xltlib.self_translation import TICK, SelfTranslator, translation_prompt
from xltlib.text_tasks import items

FLOOR = 5.0
SLICES = 4
FIELD = "problem"


@torch.no_grad()
def one_by_one(model, tokenizer, prompts: list[str], most: int) -> list[str]:
    """Each prompt by itself through `generate`."""
    ends, outputs = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(TICK)], []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        made = model.generate(
            **ids, max_new_tokens=most, do_sample=False, num_beams=1, eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        outputs.append(cut(tokenizer, made[0, ids["input_ids"].shape[1] :].tolist(), TICK, tokenizer.pad_token_id))
    return outputs


def main() -> int:
    """Run the benchmark; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=1000)
    parser.add_argument("--decoder", default="mini-llama-1m")
    parser.add_argument("--language", default="de")
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_causal(options.decoder), load_tokenizer(options.decoder)
    most = dict(self_scale("mini").max_tokens)[FIELD]
    samples = self_train.samples("mini", "problems", options.language, FIELD)
    texts = [item.fields[FIELD] for item in items("problems", "en", "train", options.fields)]
    ours = SelfTranslator(model, tokenizer, options.decoder, samples, options.language, most, batch=options.batch)
    seconds, different = {"ours": 0.0, "one by one": 0.0}, 0
    for part in range(SLICES):
        chosen = texts[part::SLICES]
        start = time.process_time()
        first = ours.outputs(chosen, progress=False)
        seconds["ours"] += time.process_time() - start
        start = time.process_time()
        prompts = [translation_prompt(samples, text, options.language) for text in chosen]
        second = one_by_one(model, tokenizer, prompts, most)
        seconds["one by one"] += time.process_time() - start
        different += sum(a != b for a, b in zip(first, second, strict=True))
    closed = sum(TICK in output for output in ours.outputs(texts[:100], progress=False))
    for name, total in seconds.items():
        print(f"{name}: {total:.1f} s CPU, {len(texts) / total:.1f} fields/s")
    print(f"{options.decoder}, {len(texts)} fields en-{options.language}, limit {most} tokens; of 100, {closed} closed")
    print(f"outputs that differ: {different} of {len(texts)}")
    ratio = seconds["one by one"] / seconds["ours"]
    print(f"ratio: {ratio:.2f} (floor {FLOOR})")
    return int(different > 0 or ratio < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
