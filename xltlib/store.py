"""Run records: find a run or run it; crash-safe, content-addressed.

The record of a run is `<root>/<experiment>/<id>.json` (spec, metrics, provenance) and, when the run kept predictions,
`<id>.parquet`; the id is the hash of the spec. A process killed at any moment leaves whole records or none.
"""

import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from xltlib import grid
from xltlib.errors import InputError
from xltlib.grid import GridError, Run
from xltlib.records import (
    Record,
    Result,
    RunSpec,
    canonical,
    load_or_tell,
    one_line,
    sweep,
    tell,
    write_record,
    write_whole,
)
from xltlib.scales import BUILD, DATA

__all__ = ["GridError", "Record", "Result", "RunSpec", "Store", "metrics_frame", "reference", "stale"]
REFERENCE = DATA / "reference"


@dataclass(frozen=True)
class Store:
    """A folder of run records."""

    root: Path = BUILD / "records"

    def path(self, spec: RunSpec) -> Path:
        """Where the spec's JSON is or would be."""
        return Path(self.root) / spec.experiment / f"{spec.id}.json"

    def find(self, spec: RunSpec) -> Record | None:
        """The record, or None when there is none; a damaged one counts as none, and one line on stderr says so."""
        path = self.path(spec)
        record = load_or_tell(path) if path.exists() else None
        if record is not None and record.spec != spec:
            return tell(path, "it describes another run")
        if record is not None and record.info.get("finished", "") < os.environ.get("XLT_FRESH", ""):
            return None  # `xlt run --fresh`: only what finished after its start counts
        return record

    def run_or_load(self, spec: RunSpec, run: Run) -> Record:
        """The record of `spec`; `run(spec)` makes it when it is not there."""
        return self.find(spec) or self.write(spec, *grid.timed(run, spec))

    def write(self, spec: RunSpec, result: Result, info: dict | None = None) -> Record:
        """Write a finished run, predictions first, the JSON that vouches for them last; read it back."""
        return write_record(self.path(spec), spec, result, info or {})

    def run_grid(
        self, specs: Iterable[RunSpec], run: Run, *, jobs: int = 1, progress: bool = True, cluster: str | None = None
    ) -> list[Record]:
        """The records of `specs`, in their order; those not in the store are run.

        `jobs` processes on this machine (-1: one a core), each with one torch thread; jobs=1 runs in this process, also
        with one thread, so that the number of jobs changes no result. `cluster`: address of a Dask scheduler
        ("tcp://host:8786"), whose workers compute while this process writes. A run that fails does not stop the others;
        a worker that dies costs its run in flight, which is tried once more. Raises GridError naming the first failure
        (InputError when the run raised one) after the others have finished.
        """
        sweep(self.root)
        return grid.run_grid(self, specs, run, jobs=jobs, progress=progress, cluster=cluster)

    def records(self, experiment: str) -> list[Record]:
        """Every whole record of an experiment, ordered by id."""
        found = (load_or_tell(path) for path in sorted((Path(self.root) / experiment).glob("*.json")))
        return [record for record in found if record is not None]

    def frame(self, experiment: str) -> pd.DataFrame:
        """One row a metric of every record of an experiment; see `metrics_frame`."""
        return metrics_frame(self.records(experiment))

    def export_reference(
        self, experiment: str, path: Path | None = None, records: Sequence[Record] | None = None
    ) -> Path:
        """Write data/reference/<experiment>.parquet (zstd): `metrics_frame` plus the columns spec (JSON) and commit.

        `records`: the runs to export, by default every whole record of the experiment.
        """
        records = self.records(experiment) if records is None else records
        if not records:
            raise InputError(f"{self.root}/{experiment}: no finished runs to export; run the notebook first")
        frame = _one_type_a_column(_reference_frame(records))
        return _write_frame(frame, path or REFERENCE / f"{experiment}.parquet")

    def missing_in_reference(self, experiment: str, specs: Iterable[RunSpec]) -> list[RunSpec]:
        """Those of `specs` that `data/reference/<experiment>.parquet` does not hold."""
        path = REFERENCE / f"{experiment}.parquet"
        known = set(reference(experiment)["id"]) if path.exists() else set()
        return [spec for spec in specs if spec.id not in known]

    def complete_reference(self, experiment: str, specs: Iterable[RunSpec], run: Run, *, jobs: int = 1) -> Path:
        """Run what `data/reference/<experiment>.parquet` lacks of `specs`, and write the file with all of them.

        Runs that the file holds are not run again, here or on another machine; of runs that are no longer among
        `specs` (another corpus, checkpoint or version) nothing is kept. What has finished is written to the file when
        the grid is interrupted, too.
        """
        path = REFERENCE / f"{experiment}.parquet"
        specs = list(specs)
        order = {spec.id: i for i, spec in enumerate(specs)}
        known = reference(experiment) if path.exists() else pd.DataFrame({"id": []})
        known = known[known["id"].isin(list(order))]
        todo = self.missing_in_reference(experiment, specs)
        try:
            self.run_grid(todo, run, jobs=jobs)
        finally:
            found = [record for spec in todo if (record := self.find(spec))]
            if found:
                new = _reference_frame(found)
                merged = pd.concat([part for part in (known, new) if not part.empty], ignore_index=True)
                merged = merged.sort_values("id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)
                _write_frame(_one_type_a_column(merged), path)
        return path

    def export_predictions(self, experiment: str, records: Sequence[Record], path: Path | None = None) -> Path:
        """Write data/reference/<experiment>.predictions.parquet: the rows of `records`, with ids, floats as float16.

        For the runs that a figure shows, and no others: the committed references stay small.
        """
        kept = [r.predictions.assign(id=r.spec.id) for r in records if r.predictions is not None]
        if not kept:
            raise InputError(f"{self.root}/{experiment}: none of the runs kept predictions")
        frame = pd.concat(kept, ignore_index=True)
        floats = frame.select_dtypes("float").columns
        return _write_frame(
            frame.astype(dict.fromkeys(floats, "float16")), path or REFERENCE / f"{experiment}.predictions.parquet"
        )


def _reference_frame(records: Sequence[Record]) -> pd.DataFrame:
    """`metrics_frame` plus the columns spec (JSON) and commit."""
    specs = {record.spec.id: canonical(asdict(record.spec)) for record in records}
    commits = {record.spec.id: record.info.get("commit", "unknown") for record in records}
    frame = metrics_frame(records)
    return frame.assign(spec=frame["id"].map(specs), commit=frame["id"].map(commits))


def _write_frame(frame: pd.DataFrame, path: Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, frame.to_parquet(compression="zstd", index=False))
    return path


def _one_type_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    """A setting that is a number in one run and a text in another becomes text: Parquet columns have one type."""
    mixed = [c for c in frame if frame[c].dropna().map(type).nunique() > 1]
    return frame.assign(**{c: frame[c].map(str, na_action="ignore") for c in mixed})


def metrics_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row a metric: the spec's fields, the settings flattened ("optimizer.lr"; a list becomes "en,de"), the metric.

    Where names collide the metric's keep theirs and the setting is called "settings.<name>".
    """
    rows = [_row(record, metric) for record in records for metric in record.metrics]
    return pd.DataFrame(rows, columns=None if rows else ["id", *_SPEC_COLUMNS, "language", "metric", "value"])


_SPEC_COLUMNS = [f.name for f in fields(RunSpec) if f.name != "settings"]


def _row(record: Record, metric: dict) -> dict:
    own = {"id": record.spec.id} | {name: getattr(record.spec, name) for name in _SPEC_COLUMNS}
    taken = own.keys() | metric.keys() | {"seconds"}
    settings = {(f"settings.{k}" if k in taken else k): v for k, v in _flat(record.spec.settings).items()}
    value = math.nan if metric["value"] is None else metric["value"]
    seconds = float(record.info.get("seconds", math.nan))  # JSON gives whole seconds back as an int
    return own | settings | metric | {"value": float(value), "seconds": seconds}


def _flat(settings: dict, prefix: str = "") -> dict:
    flat: dict = {}
    for key, value in sorted(settings.items()):
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = ",".join(map(str, value)) if isinstance(value, list) else value
    return flat


def reference(experiment: str, folder: Path = REFERENCE) -> pd.DataFrame:
    """The committed metrics of an experiment, as `Store.export_reference` wrote them ("x.predictions": predictions)."""
    path = Path(folder) / f"{experiment}.parquet"
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in Path(folder).glob("*.parquet"))) or "none yet"
        raise InputError(f"{path}: no reference records of that name; there are: {known}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({one_line(error)}); restore it from git") from None


def stale(frame: pd.DataFrame, current: Mapping[str, Any]) -> list[str]:
    """One line a run of `frame` whose corpus, checkpoint or version is not the current one; empty when all is current.

    `current`: {"corpus": ..., "checkpoint": ..., "version": ...}, any subset; a value, a collection of values that are
    current, or a mapping from method to either.
    """
    runs = frame.drop_duplicates("id")
    lines = []
    for column, wanted in current.items():
        for run in runs.itertuples():
            now = wanted.get(run.method) if isinstance(wanted, Mapping) else wanted
            allowed = now if isinstance(now, Collection) and not isinstance(now, str) else [now]
            if getattr(run, column) not in allowed:
                what = f"{column} is {getattr(run, column)}, current is {' or '.join(map(str, allowed))}"
                lines.append(f"run {run.id} (method {run.method}, seed {run.seed}): {what}")
    return lines
