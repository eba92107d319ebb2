"""The `xlt` command, over `course`, `store` and `book`.

Exit codes: 0; 1 a notebook failed (one line); 2 bad arguments (one line with the valid choices), decided before
anything runs; 130 interrupted. Heavy imports stay inside the commands that need them.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from xltlib import __version__, course
from xltlib import check as machine
from xltlib.check import aligned
from xltlib.errors import InputError
from xltlib.scales import SCALES


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> None:
        """Print the line and end with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    chosen = parser().parse_args(arguments)
    try:
        return chosen.command(chosen) or 0
    except InputError as error:
        return _tell(error, 2)
    except course.NotebookFailed as error:
        return _tell(error, 1)
    except KeyboardInterrupt:
        return _tell("interrupted; finished runs are kept, and the same command resumes", 130)
    except BrokenPipeError:  # the reader of our output left, as in `xlt list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _tell(error, 1)


def _tell(message: object, code: int) -> int:
    print(f"xlt: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    top = Parser(prog="xlt", description="Run the course: notebooks, book, models, data, records.")
    top.add_argument("--version", action="version", version=f"xlt {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add(commands, "check", check, "what this machine has and lacks, with remedies")
    _add(commands, "list", list_notebooks, "the notebooks with their measured cost per scale")
    _add_run(commands)
    plan_options = _add(commands, "plan", plan, "what `xlt run` would run, and its measured cost")
    _add_choice(plan_options)
    book = _add(commands, "book", build_book, "build the book from the executed notebooks")
    book.add_argument("--scale", default="mini", choices=tuple(SCALES))
    _add_models_and_data(commands)
    _add(commands, "records", records, "finished runs per experiment, with stale and damaged ones")
    return top


def _add(commands: argparse._SubParsersAction, name: str, function: object, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.set_defaults(command=function)
    return command


def _add_choice(command: argparse.ArgumentParser) -> None:
    command.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="number, name or path; without: all")
    command.add_argument("--scale", default="mini", choices=tuple(SCALES))
    command.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))


def _add_run(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "run", run, "execute notebooks with papermill")
    _add_choice(command)
    command.add_argument("--jobs", type=_positive, metavar="N", help="processes for a grid (default: one a core)")
    command.add_argument("--fresh", action="store_true", help="run again what records exist for")


def _add_models_and_data(commands: argparse._SubParsersAction) -> None:
    for group, verb, function, summary in (
        ("models", "build", build_models, "train the small checkpoints again"),
        ("data", "get", get_data, "download a data set, pinned and checked"),
    ):
        verbs = commands.add_parser(group, help=summary).add_subparsers(required=True, metavar=verb)
        command = _add(verbs, verb, function, summary)
        command.add_argument("name", nargs="?", metavar="NAME", help="without: all")
        if group == "models":
            command.add_argument(
                "--device", default="cpu", choices=("cpu", "cuda"), help="cuda: paper 4's models alone"
            )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text!r}")
    return int(text)


def check(_: argparse.Namespace) -> int:
    """Print the table; 0 when mini can run."""
    found = list(machine.rows())
    print(machine.table(found))
    ready = machine.can_run_mini(found)
    print("\nscale mini can run" if ready else "\nscale mini cannot run: mend what is MISSING")
    return 0 if ready else 1


def list_notebooks(_: argparse.Namespace) -> None:
    """Print the notebooks with the cost that was measured."""
    found = course.notebooks()
    header = ("", "notebook", *(f"{scale} (min, GB memory, GB download)" for scale in tuple(SCALES)))
    lines = [(n.number, n.title, *(_cost(n, scale) for scale in tuple(SCALES))) for n in found]
    print(aligned([header, *lines]) if found else "no notebooks yet")


def _cost(notebook: course.Notebook, scale: str) -> str:
    if not (cost := notebook.cost.get(scale)):
        return "not measured"
    return ", ".join(str(cost.get(key, "?")) for key in ("minutes", "memory_gb", "download_gb"))


def _chosen(arguments: argparse.Namespace) -> tuple[list[course.Notebook], str, dict[str, str]]:
    """The notebooks, the scale and the other parameters, all checked."""
    parameters = dict(arguments.parameter)
    scale = parameters.pop("scale", arguments.scale)
    chosen = [course.find(name) for name in dict.fromkeys(arguments.notebooks)] or course.notebooks()
    if not chosen:
        raise InputError(f"{course.NOTEBOOKS}: no notebooks there")
    for notebook in chosen:
        course.check_parameters(notebook.path, {"scale": scale, **parameters})
    in_order = {notebook.name: notebook for notebook in sorted(chosen, key=lambda notebook: notebook.name)}
    return list(in_order.values()), scale, parameters


def run(arguments: argparse.Namespace) -> None:
    """Execute the chosen notebooks one after another; nothing runs before all arguments are checked."""
    chosen, scale, parameters = _chosen(arguments)
    os.environ["XLT_JOBS"] = str(arguments.jobs or os.cpu_count() or 1)
    fresh = datetime.now(UTC).isoformat(timespec="seconds") if arguments.fresh else ""
    for notebook in chosen:
        start = time.perf_counter()
        print(f"{notebook.name} at {scale} ...", end=" ", flush=True)
        try:
            path = course.run(notebook, scale, parameters, fresh=fresh)
        except BaseException:
            print(flush=True)
            raise
        print(f"{time.perf_counter() - start:.0f} s, {path}", flush=True)


def plan(arguments: argparse.Namespace) -> None:
    """Print what would run, with parameters and the measured cost."""
    chosen, scale, parameters = _chosen(arguments)
    given = ", ".join(f"{name}={value}" for name, value in {"scale": scale, **parameters}.items())
    print(aligned([(n.name, given, f"{_cost(n, scale)} (min, GB memory, GB download)") for n in chosen]))
    minutes = [n.cost.get(scale, {}).get("minutes") for n in chosen]
    unknown = f", without {minutes.count(None)} not measured" if None in minutes else ""
    print(f"measured, in all: {sum(filter(None, minutes)):.1f} minutes{unknown}; less where records can be reused")


def build_book(arguments: argparse.Namespace) -> None:
    """Build book/_build from the executed copies and print the address."""
    from xltlib import book

    book.build(course.EXECUTED / arguments.scale)
    print(f"the book: {(course.ROOT / 'book' / '_build' / 'html' / 'index.html').as_uri()}")


def build_models(arguments: argparse.Namespace) -> None:
    """Train one shipped checkpoint again, a group of them ("objectives"), or all."""
    from xltlib import checkpoints

    known = (*checkpoints.NAMES, *checkpoints.GROUPS)
    names = _names(arguments.name, known, "checkpoint") if arguments.name else checkpoints.NAMES
    for name in names:
        checkpoints.check_device(name, arguments.device)
    elsewhere = {} if arguments.device == "cpu" else {"device": arguments.device}
    for name in names:
        print(f"{name} ...", flush=True)
        start = time.perf_counter()
        checkpoints.build(name, **elsewhere)
        print(f"{name}: {(time.perf_counter() - start) / 60:.1f} minutes", flush=True)


def get_data(arguments: argparse.Namespace) -> None:
    """Download one data set, or all."""
    from xltlib.corpora import fetch

    for name in _names(arguments.name, fetch.NAMES, "data set"):
        print(f"{name}: {fetch.get(name)}", flush=True)


def _names(name: str | None, known: Iterable[str], what: str) -> list[str]:
    if name is not None and name not in known:
        raise InputError(f"unknown {what} {name!r}; use one of: {', '.join(known)}")
    return [name] if name else list(known)


def records(_: argparse.Namespace) -> None:
    """Print one line an experiment: runs, stale, damaged, compute time."""
    from xltlib.store import Store

    store = Store()
    folders = sorted(path for path in Path(store.root).glob("*") if path.is_dir())
    if not folders:
        print(f"{store.root}: no records yet")
        return
    lines = [_experiment(folder, store.records(folder.name)) for folder in folders]
    print(aligned([("experiment", "runs", "stale", "damaged", "hours"), *lines]))


def _experiment(folder: Path, found: list) -> tuple[str, ...]:
    damaged = len(list(folder.glob("*.json"))) - len(found)
    hours = sum(record.info.get("seconds", 0) for record in found) / 3600
    return folder.name, str(len(found)), str(_stale(found)), str(damaged), f"{hours:.2f}"


def _stale(found: list) -> int:
    """Records that a newer run of the same method, seed and settings replaced: other version, corpus or checkpoint."""
    latest: dict[str, tuple] = {}
    keys = [repr((r.spec.method, r.spec.seed, sorted(r.spec.settings.items()))) for r in found]
    made = [(r.info.get("finished", ""), (r.spec.version, r.spec.corpus, r.spec.checkpoint)) for r in found]
    for key, value in zip(keys, made, strict=True):
        latest[key] = max(latest.get(key, value), value)
    return sum(value[1] != latest[key][1] for key, value in zip(keys, made, strict=True))


if __name__ == "__main__":
    sys.exit(main())
