"""Where corpora lie on this machine, and how they get there: downloads pinned by commit and sha256."""

import csv
import os
from pathlib import Path

from xltlib.corpora.files import corpus_name, umsab_paths
from xltlib.errors import InputError
from xltlib.scales import BUILD, DATA

NAMES = ("umsab",)
SOURCES = DATA / "umsab" / "sources.csv"
ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
VARIABLE = "XLT_DATA"
TIMEOUT = 20  # seconds without an answer


def sources(name: str) -> list[dict[str, str]]:
    """The pins of a corpus: repository, commit, path, bytes, sha256 of each file."""
    if name not in NAMES:
        raise InputError(f"unknown corpus {name!r}: use one of {', '.join(NAMES)}")
    with SOURCES.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pinned(name: str = "umsab") -> str:
    """The corpus' name with the hash that its pinned files give, known without having them."""
    hashes = {_local(row): row["sha256"] for row in sources(name)}
    return corpus_name(name, [hashes[path] for path in umsab_paths()])


def locate(name: str = "umsab", folder: Path | str | None = None) -> Path:
    """The corpus' folder: `folder`, else $XLT_DATA/<name> or $XLT_DATA itself, else where `get` puts it.

    InputError with the remedy when it is not there.
    """
    root = folder or os.environ.get(VARIABLE)
    first = _local(sources(name)[0])
    places = [Path(root) / name, Path(root)] if root else [BUILD / "data" / name]
    for place in places:
        if (place / first).exists():
            return place
    remedy = f"get it with: xlt data get {name}; or give a folder that has it: {VARIABLE}=FOLDER"
    raise InputError(f"{places[-1] / first}: no such file; {remedy}")


def get(name: str, folder: Path | None = None) -> Path:
    """Download a corpus to build/data/<name> (or `folder`), what is there and whole excepted; return its folder."""
    place = Path(folder or BUILD / "data" / name)
    for row in sources(name):
        _retrieve(row, place / _local(row), name)
    return place


def _retrieve(row: dict[str, str], target: Path, name: str) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    url = ADDRESS.format(**row)
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{row['sha256']}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )
    except ValueError:
        raise InputError(f"{url}: its sha256 is not the pinned one; report it, and do not use the file") from None
    except (OSError, RuntimeError) as error:
        remedy = f"check the network and run it again, or give a folder that has the files: {VARIABLE}=FOLDER"
        raise InputError(f"{name}: cannot download {url} ({type(error).__name__}); {remedy}") from None


def _local(row: dict[str, str]) -> str:
    return "/".join(row["path"].split("/")[-2:])
