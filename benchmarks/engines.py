"""How many outputs of each engine differ from plain EasyNMT's, on one checkpoint, at beam 5.

    python benchmarks/engines.py [--model mini-m2m] [--texts 200] [--directions en-de en-zh de-en zh-en]

Plain: `EasyNMT(translator=models.AutoModel(checkpoint))` with its defaults (batches of 16), sentence splitting off
because it needs a download. `xltlib.engines.LEGEND` says what the other engines do otherwise. Prints a row an engine, a
column a direction, and the share over all. Exits 1 when the engine "easynmt" differs in a single output.
"""

import argparse
import os
import sys

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
ENGINES = {
    "easynmt": {"name": "easynmt"},
    "huggingface": {"name": "huggingface"},
    "ctranslate2 float32": {"compute_type": "float32"},
    "ctranslate2 int8": {"compute_type": "int8"},
}
DIRECTIONS = ("en-de", "en-zh", "de-en", "zh-en")


def differences(model: str, direction: str, size: int) -> dict[str, int]:
    """Of the first `size` different test reviews, how many each engine translates otherwise than plain EasyNMT."""
    from translation import plain_easynmt

    from xltlib.corpora import embedded
    from xltlib.translation import translator

    source, target = direction.split("-")
    texts = list(dict.fromkeys(review.text for review in embedded.reviews(source, "test", None)))[:size]
    made = {name: translator(model=model, memory=None, **options) for name, options in ENGINES.items()}
    wanted = plain_easynmt(made["easynmt"].engine.folder)(texts, source, target)
    outputs = {name: found.translate(texts, source, target) for name, found in made.items()}
    return {name: sum(a != b for a, b in zip(rows, wanted, strict=True)) for name, rows in outputs.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini-m2m", help="a shipped checkpoint or a folder")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--directions", nargs="+", default=list(DIRECTIONS))
    arguments = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    found = {d: differences(arguments.model, d, arguments.texts) for d in arguments.directions}
    total = arguments.texts * len(found)
    print(f"outputs of {arguments.texts} a direction that differ from plain EasyNMT ({arguments.model}, beam 5)")
    for name in ENGINES:
        counts = [row[name] for row in found.values()]
        shown = "  ".join(f"{d} {count:4d}" for d, count in zip(found, counts, strict=True))
        print(f"{name:20s} {shown}  {sum(counts)} of {total} ({sum(counts) / total:.1%})")
    return 1 if any(row["easynmt"] for row in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
