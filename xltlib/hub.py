"""The folder of a checkpoint of the Hugging Face hub at a pinned commit: cached, downloaded, or one clear line."""

import json
from pathlib import Path

from xltlib.errors import InputError

INDEX, SHARDS = ".safetensors.index.json", "model-*.safetensors"
"""What weights in several files are listed in, and how these are named."""
SECONDS = 8
"""How long the hub may take to answer before it counts as unreachable."""


def hub_folder(repository: str, revision: str, tokenizer_files: tuple[str, ...], weights: tuple[str, ...]) -> Path:
    """The checkpoint's folder in the hub's cache, downloaded when it is not there (one format of weights
    only: the first of `weights` that the repository has).

    InputError at once when the hub cannot be reached and the cache does not hold it.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
        if complete(folder, tokenizer_files, weights):
            return folder
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    try:
        names = {file.rfilename for file in HfApi().model_info(repository, revision=revision, timeout=SECONDS).siblings}
        wanted = [next((file for file in weights if file in names), weights[0])]
        wanted += [SHARDS] if wanted[0].endswith(INDEX) else []
        wanted += ["config.json", "generation_config.json", *tokenizer_files]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted, etag_timeout=SECONDS))
    except (OSError, RuntimeError, ValueError) as error:  # no route, offline mode, blocked sockets, no such commit
        raise InputError(
            f"cannot get {repository}@{revision[:8]} from the hub ({type(error).__name__}): run once with a network "
            "and without HF_HUB_OFFLINE, or give a local folder, or use scale mini"
        ) from None


def complete(folder: Path, tokenizer_files: tuple[str, ...], weights: tuple[str, ...]) -> bool:
    """Whether an earlier download was finished: the cache has a folder for an interrupted one too."""
    needed = ("config.json", *tokenizer_files[:2])
    found = [file for file in weights if (folder / file).exists()]
    parts = _parts(folder / found[0]) if found and found[0].endswith(INDEX) else set()
    return bool(found) and all((folder / file).exists() for file in {*needed, *parts})


def _parts(index: Path) -> set[str]:
    """The files that hold weights in several parts."""
    return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
