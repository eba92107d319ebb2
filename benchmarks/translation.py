"""Our translation layer against plain EasyNMT, on one checkpoint, at beam 5, in CPU time.

    python benchmarks/translation.py [--model mini-m2m] [--texts 200] [--rounds 3]

Plain: `EasyNMT(translator=models.AutoModel(checkpoint))` with its defaults (batches of 16), sentence splitting off
because it needs a download. Ours: CTranslate2 int8 behind EasyNMT, without the translation memory. Rounds are
interleaved, so that a change in the machine's load meets both. Exits 1 when ours is less than 2.5 times as fast, a
second pass from the memory less than 100 times as fast as the first, or an output depends on order or batch size.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
TARGET, TARGET_MEMORY = 2.5, 100.0


def cpu_time(function) -> tuple[float, list[str]]:
    """(seconds of CPU time over all threads, result)."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def plain_easynmt(folder: Path):
    """EasyNMT as its documentation uses it, as a function of texts, source, target."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from easynmt import EasyNMT, models
    model = EasyNMT(translator=models.AutoModel(str(folder)), device="cpu")
    return lambda texts, source, target: model.translate(
        texts, source_lang=source, target_lang=target, beam_size=5, perform_sentence_splitting=False
    )


def race(plain, ours, texts: list[str], pair: tuple[str, str], rounds: int) -> tuple[list[float], list[str], list[str]]:
    """Ratios of CPU time, plain to ours, one a round; and the outputs of both."""
    ratios = []
    for number in range(rounds):
        slow, expected = cpu_time(lambda: plain(texts, *pair))
        fast, outputs = cpu_time(lambda: ours(texts, *pair))
        ratios.append(slow / fast)
        print(f"round {number + 1}: plain EasyNMT {slow:.2f} s, ours {fast:.2f} s, ratio {ratios[-1]:.2f}", flush=True)
    return ratios, expected, outputs


def memory_ratio(make, texts: list[str], pair: tuple[str, str]) -> float:
    """CPU time of a first pass over that of a second one by a new translator, which reads the memory from disk."""
    with tempfile.TemporaryDirectory() as folder:
        first = make(memory=Path(folder))
        first.fresh(["warm"], *pair)
        slow, expected = cpu_time(lambda: first.translate(texts, *pair))
        second = make(memory=Path(folder))
        fast, outputs = cpu_time(lambda: second.translate(texts, *pair))
    if outputs != expected:
        raise SystemExit("the memory gave other translations")
    print(f"first pass {slow:.2f} s, second pass from the memory {fast:.4f} s, ratio {slow / fast:.0f}")
    return slow / fast


def changed(make, texts: list[str], outputs: list[str], pair: tuple[str, str]) -> int:
    """How many outputs another order, and other sizes of chunks, change."""
    expected, count = dict(zip(texts, outputs, strict=True)), 0
    for chunk in (7, 64):
        shuffled = random.Random(chunk).sample(texts, len(texts))
        translator = make(memory=None)
        translator.chunk = chunk
        count += sum(expected[t] != o for t, o in zip(shuffled, translator.translate(shuffled, *pair), strict=True))
    print(f"outputs that order or batch size changed: {count} of {2 * len(texts)}")
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini-m2m", help="a shipped checkpoint or a folder")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--target", default="de")
    arguments = parser.parse_args()

    import torch

    from xltlib.corpora import embedded
    from xltlib.translation import bleu, translator

    torch.set_num_threads(1)
    texts = list(dict.fromkeys(review.text for review in embedded.reviews("en", "train")))[: arguments.texts]
    pair = ("en", arguments.target)

    def make(memory):
        return translator("ctranslate2", arguments.model, beam=5, memory=memory)

    ours = make(memory=None)
    plain = plain_easynmt(ours.engine.folder)
    for warm in (plain, ours.translate):
        warm(texts[:2], *pair)
    print(f"{len(texts)} texts, {ours.signature(*pair)}")
    ratios, expected, outputs = race(plain, ours.translate, texts, pair, arguments.rounds)
    score, signature = bleu(outputs, expected, arguments.target)
    same = sum(a == b for a, b in zip(outputs, expected, strict=True))
    print(f"BLEU of ours against plain EasyNMT's output: {score:.1f} ({signature}); {same} of {len(texts)} identical")
    moved, remembered, ratio = (
        changed(make, texts, outputs, pair),
        memory_ratio(make, texts, pair),
        statistics.median(ratios),
    )
    print(f"ratio from memory {remembered:.0f} (at least {TARGET_MEMORY:.0f})")
    print(f"ratio {ratio:.2f} (median of {len(ratios)}; at least {TARGET})")
    return 0 if ratio >= TARGET and remembered >= TARGET_MEMORY and moved == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
