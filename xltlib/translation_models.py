"""M2M100 checkpoints: where a name leads (shipped, a folder, the hub at a pinned commit), and their conversion."""

import os
import re
import tempfile
from pathlib import Path

from xltlib.errors import InputError
from xltlib.hub import hub_folder
from xltlib.models import CHECKPOINTS, fingerprint, folder_hash, verify_checkpoint

REVISIONS = {"facebook/m2m100_418M": "55c2e61bbf05dfb8d7abccdc3fae6fc8512fd636"}
"""The pinned commits of the hub's checkpoints."""
TOKENIZER_FILES = ("vocab.json", "sentencepiece.bpe.model", "tokenizer_config.json", "special_tokens_map.json")
NEEDED = ("config.json", *TOKENIZER_FILES[:2])
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def check_language_tokens(tokenizer, name: str) -> None:
    """InputError unless EasyNMT will force the target language.

    It does so only for tokenizers with `lang_code_to_id`, and a tokenizer without all hundred codes gives two ids for
    one code, silently.
    """
    codes = getattr(tokenizer, "lang_code_to_id", None)
    if not codes:
        raise InputError(f"{name}: EasyNMT cannot force its target language; use an M2M100 checkpoint")
    for code, number in codes.items():
        if tokenizer.convert_tokens_to_ids(f"__{code}__") != number:
            raise InputError(f"{name}: two ids for __{code}__; save its tokenizer with all 100 language codes")


def convert(folder: Path, name: str, compute_type: str, build: Path) -> Path:
    """The checkpoint in CTranslate2's format under build/<name>-<type>, converted once; processes may race for it."""
    target = build / f"{file_name(name)}-{compute_type}"
    if (target / "model.bin").exists():
        return target
    import torch
    import transformers
    from ctranslate2.converters import TransformersConverter

    class Float32(TransformersConverter):
        """Weights on disk may be float16; position encodings are computed at load and must not be."""

        def load_model(self, model_class, path, **arguments):
            return model_class.from_pretrained(path, **arguments | {"dtype": torch.float32})

    check_language_tokens(transformers.AutoTokenizer.from_pretrained(folder), name)
    build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix=".converting-") as temporary:
        converted = Path(temporary) / "model"
        Float32(str(folder)).convert(str(converted), quantization=compute_type)
        try:
            os.rename(converted, target)
        except OSError:  # another process was faster
            if not (target / "model.bin").exists():
                raise
    return target


def file_name(text: str) -> str:
    """A file name for a fingerprint."""
    return re.sub(r"[^\w.@+-]+", "--", text)


def find_checkpoint(model: str, revision: str | None = None) -> tuple[Path, str]:
    """(folder, name@hash) of a shipped checkpoint, of a folder, or of a name of the hub at a pinned revision."""
    if model in CHECKPOINTS:
        return verify_checkpoint(model), fingerprint(model)
    folder = Path(model).expanduser()
    if folder.is_dir():
        missing = [file for file in NEEDED if not (folder / file).exists()]
        if missing:
            raise InputError(f"{folder}: no M2M100 checkpoint, {missing[0]} is missing")
        return folder, f"{folder.resolve().name}@{folder_hash(folder)}"
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@\w+)?", model):
        repository, _, pinned = model.partition("@")
        revision = revision or pinned or REVISIONS.get(repository)
        if not revision:
            raise InputError(f"{repository}: pin a revision of the hub, as in model='{repository}@<commit>'")
        return hub_folder(repository, revision, TOKENIZER_FILES, WEIGHTS), f"{repository}@{revision[:8]}"
    known = ", ".join(CHECKPOINTS)
    raise InputError(f"unknown translation model {model!r}: use one of {known}, a folder, or owner/name of the hub")
