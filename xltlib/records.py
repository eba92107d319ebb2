"""What a run is (`RunSpec`), what it gives (`Result`), and the record it leaves: plain JSON and Parquet, never pickles.

A record is written under a temporary name, flushed to disk and renamed, and holds the checksum of its own content and
of its predictions: it is whole, or it is known to be damaged.
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from xltlib.errors import Diverged, InputError


def canonical(content: Any) -> str:
    """JSON text that is the same for the same content: sorted keys, no blanks, 1.0 written as 1."""
    return json.dumps(_plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Any, finite: bool = False) -> Any:
    """`value` in JSON's own types; numpy scalars become numbers, nan and inf become null (refused when `finite`)."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, finite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, finite) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    if isinstance(value, float) and not finite:
        return None
    if value is None or isinstance(value, str | int):
        return value
    raise InputError(
        f"{value!r} ({type(value).__name__}) is no JSON value: give finite numbers, strings, lists or mappings"
    )


@dataclass(frozen=True, eq=False)
class RunSpec:
    """What decides a run's outcome, and nothing else. `version` is the method's code version: raise it when the code
    changes results. `settings`: JSON values (languages, scale, hyper-parameters, translation signature)."""

    experiment: str
    method: str
    version: int
    corpus: str
    checkpoint: str
    seed: int
    settings: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.experiment):
            raise InputError(f"experiment {self.experiment!r} cannot be a folder's name: use letters, digits, . _ -")
        object.__setattr__(self, "settings", _plain(self.settings, finite=True))  # a copy: a spec never changes

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of the canonical JSON."""
        return hashlib.sha256(canonical(asdict(self)).encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunSpec) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return f"{self.experiment}/{self.id} (method {self.method}, seed {self.seed}, {canonical(self.settings)})"


@dataclass
class Result:
    """What a run returns. A metric is {"language": "de", "metric": "f1_micro", "value": .53, "n": 1000,
    "n_effective": 1000}, extra columns allowed; `predictions` has one row an example; `info` goes into the record's."""

    metrics: list[dict]
    predictions: pd.DataFrame | None = None
    info: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if missing := {"metric", "value"} - set(metric):
                raise InputError(f"a metric lacks {', '.join(sorted(missing))}: {metric}")


def naming(run: Callable[[RunSpec], Result]) -> Callable[[RunSpec], Result]:
    """A run that names itself (experiment, id, method, seed, settings) when it diverges."""

    @functools.wraps(run)
    def named(spec: RunSpec, *args: Any, **options: Any) -> Result:
        try:
            return run(spec, *args, **options)
        except Diverged as error:
            raise error if str(spec) in str(error) else Diverged(f"run {spec}: {error}") from None

    return named


@dataclass(frozen=True)
class Record:
    """A finished run. `info`: seconds, device, versions, commit, finished (UTC)."""

    spec: RunSpec
    metrics: list[dict]
    info: dict
    path: Path
    has_predictions: bool

    @functools.cached_property
    def predictions(self) -> pd.DataFrame | None:
        """The per-example rows, read when first asked for; None when the run kept none."""
        return pd.read_parquet(self.path.with_suffix(".parquet")) if self.has_predictions else None


def write_whole(path: Path, data: bytes) -> None:
    """Write under a temporary name in the same folder, flush to disk, rename; readers see the old file or the new."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(root: Path, age: float = 3600) -> None:
    """Remove temporary files that killed writers left more than `age` seconds ago."""
    for path in Path(root).glob("*/.*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another process may sweep too
            if time.time() - path.stat().st_mtime > age:
                path.unlink()


def write_record(path: Path, spec: RunSpec, result: Result, info: dict) -> Record:
    """Predictions first, the JSON that vouches for them last; read back and verified."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sha = None
    if result.predictions is not None:
        data = result.predictions.to_parquet(compression="zstd", index=False)
        sha = hashlib.sha256(data).hexdigest()
        write_whole(path.with_suffix(".parquet"), data)
    content = {"id": spec.id, "spec": asdict(spec), "metrics": result.metrics, "predictions_sha256": sha}
    content = _plain(content | {"info": info | result.info})
    content["sha256"] = _content_sha(content)
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode())
    return _load(path)


def _content_sha(content: dict) -> str:
    return hashlib.sha256(canonical({k: v for k, v in content.items() if k != "sha256"}).encode()).hexdigest()


def _load(path: Path) -> Record:
    """Read and verify one record; raises ValueError, KeyError, TypeError or OSError when it is damaged."""
    content = json.loads(path.read_bytes())
    if content["sha256"] != _content_sha(content):
        raise ValueError("its content does not match its checksum")
    sha = content["predictions_sha256"]
    if sha and hashlib.sha256(path.with_suffix(".parquet").read_bytes()).hexdigest() != sha:
        raise ValueError("its predictions do not match their checksum")
    return Record(RunSpec(**content["spec"]), content["metrics"], content["info"], path, bool(sha))


def load_or_tell(path: Path) -> Record | None:
    """The record, or None and one line on stderr when it is truncated or altered."""
    try:
        return _load(path)
    except (ValueError, KeyError, TypeError, OSError) as error:
        return tell(path, one_line(error))


def tell(path: Path, why: str) -> None:
    """The one line about a damaged record."""
    print(f"{path}: truncated or altered record ({why}); treated as missing, to be run again", file=sys.stderr)


def one_line(error: BaseException) -> str:
    """The error's message without line breaks, at most 300 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
