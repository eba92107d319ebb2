"""The translation memory: one SQLite file a fingerprint, safe against kills, shared by processes."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from xltlib.errors import InputError

SECONDS = 120
"""How long a process waits for another one's write."""
PER_QUERY = 500
TABLE = """CREATE TABLE IF NOT EXISTS outputs
(key BLOB PRIMARY KEY, text TEXT NOT NULL, kinds TEXT NOT NULL) WITHOUT ROWID"""


class Translation(NamedTuple):
    """An output, and what is wrong with it at first sight (`xltlib.degenerate`)."""

    text: str
    kinds: tuple[str, ...] = ()


def key(fingerprint: str, source: str, target: str, beam: int, options: Mapping, text: str) -> bytes:
    """Everything that a translation depends on, as 32 bytes; `text` is in NFC."""
    parts = [fingerprint, source, target, beam, sorted(options.items()), text]
    return sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()


class TranslationMemory:
    """Key to translation. Each call opens the file anew, so forked and spawned processes need no care; after a kill a
    transaction is there whole or not at all (SQLite's rollback journal)."""

    def __init__(self, path: Path):
        self.path = path

    @contextmanager
    def _connection(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self.path, timeout=SECONDS)) as connection, connection:
                connection.execute(TABLE)
                yield connection
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.path}: unusable translation memory ({error}); delete it to translate anew"
            ) from None

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Translation]:
        """The translations that are there."""
        keys, found = list(keys), {}
        if not self.path.exists():
            return found
        with self._connection() as connection:
            for i in range(0, len(keys), PER_QUERY):
                some = keys[i : i + PER_QUERY]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT key, text, kinds FROM outputs WHERE key IN ({marks})", some)
                found |= {row[0]: Translation(row[1], tuple(row[2].split())) for row in rows}
        return found

    def put(self, translations: Mapping[bytes, Translation]) -> None:
        """Add translations in one transaction; what is there already stays."""
        rows = [(key, text, " ".join(kinds)) for key, (text, kinds) in translations.items()]
        with self._connection() as connection:
            connection.executemany("INSERT OR IGNORE INTO outputs VALUES (?, ?, ?)", rows)
