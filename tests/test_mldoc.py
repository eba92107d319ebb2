"""The reader of MLDoc: its prepared files, and its indices with documents in RCV's XML. Every text here is made up."""

from pathlib import Path

import pytest
from refusals import refused

from xltlib.corpora import mldoc
from xltlib.corpora.guards import Example, Kept

ROWS = [
    "CCAT\tDie Bäckerei kauft einen Ofen.",
    "MCAT\tDer Kurs der Nüsse steigt.",
    "GCAT\tDer Rat tagt.",
    "ECAT\tMehr Brot.",
]


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def item(topics: tuple[str, ...] = ("M14", "MCAT"), *paragraphs: str, head: str = "", encoding: str = "UTF-8") -> str:
    """A made-up news item of RCV's shape."""
    codes = "".join(f'<code code="{code}"><editdetail attribution="made up"/></code>' for code in topics)
    text = "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs or ("Nüsse &amp; Kerne.", "Sie steigen."))
    return (
        f'<?xml version="1.0" encoding="{encoding}" ?>\n{head}<newsitem itemid="1" id="root" xml:lang="de">\n'
        f"<title>T</title>\n<headline>Kopf</headline>\n<text>\n{text}</text>\n<metadata>\n"
        f'<codes class="bip:countries:1.0"><code code="ECAT"/></codes>\n<codes class="bip:topics:1.0">{codes}</codes>\n'
        "</metadata>\n</newsitem>\n"
    )


def write_rcv(rcv: Path, documents: dict[str, str | bytes], place: str = "RCV2_Multilingual_Corpus/german") -> Path:
    for index, content in documents.items():
        path = rcv / place / f"{index.replace('-', '/')}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return rcv


def test_prepared_files_of_each_split(tmp_path, capsys):
    for name in ("german.train.1000", "german.train.5000", "german.dev", "german.test"):
        write(tmp_path / name, *ROWS)
    read = mldoc.mldoc(tmp_path, "de", "train")
    assert isinstance(read, Kept) and read.left_out == {}
    assert read[0] == Example("Die Bäckerei kauft einen Ofen.", 0, "de")
    assert [example.label for example in read] == [0, 3, 2, 1]
    (tmp_path / "german.train.1000").unlink()
    assert read == mldoc.mldoc(tmp_path, "de", "train", size=5000) == mldoc.mldoc(tmp_path, "de", "validation")
    assert read == mldoc.mldoc(tmp_path, "de", "test") and not capsys.readouterr().err


def test_prepared_files_may_lie_in_folders_of_their_languages(tmp_path):
    for code, name in mldoc.LANGUAGES.items():
        write(tmp_path / name / f"{name}.test", *ROWS)
        assert {example.language for example in mldoc.mldoc(tmp_path, code, "test")} == {code}


def test_texts_that_python_wrote_as_bytes_are_decoded(tmp_path):
    texts = ["Größe: „viel“", 'It\'s\ta "test"\nof lines', "b as in bread's", "back\\slash"]
    rows = [f"{label}\t{text.encode()!r}" for label, text in zip(mldoc.CLASSES, texts, strict=True)]
    write(tmp_path / "english.dev", *rows)
    assert [example.text for example in mldoc.mldoc(tmp_path, "en", "validation")] == texts
    for damaged in ("b'cut \\xc3'", "b'one\\'", "b'a' + 'b'"):
        write(tmp_path / "english.dev", *rows, f"CCAT\t{damaged}")
        refused(lambda: mldoc.mldoc(tmp_path, "en", "validation"), "english.dev, row 5", "literal", "prepare it again")


@pytest.mark.parametrize(
    "row, words",
    [
        ("CAT\tText", ("row 5", "'CAT'", "CCAT, ECAT, GCAT, MCAT")),
        ("\tText", ("row 5", "''", "CCAT, ECAT, GCAT, MCAT")),
        ("CCAT\t ", ("row 5", "text is empty")),
        ("CCAT\tb''", ("row 5", "text is empty")),
        ("CCAT", ("row 5", "1 columns, not 2")),
        ("CCAT\tText\tText", ("row 5", "3 columns, not 2", "without tabs")),
        ("FDXX1-12345", ("row 5", "'FDXX1-12345'", "rcv=")),
        ("CCAT\tFDXX1-12345", ("row 5", "index", "rcv=")),
    ],
)
def test_damaged_prepared_files_are_refused(tmp_path, row, words):
    write(tmp_path / "german.dev", *ROWS, row)
    refused(lambda: mldoc.mldoc(tmp_path, "de", "validation"), "german.dev", *words)


def test_files_names_encoding_and_labels(tmp_path):
    refused(lambda: mldoc.mldoc(tmp_path, "fr", "train"), "french.train.1000", "no such file", "NIST", "rcv=")
    refused(lambda: mldoc.mldoc(tmp_path, "ko", "train"), "'ko'", "en, de, es, fr, it, ja, ru, zh")
    refused(lambda: mldoc.mldoc(tmp_path, "fr", "dev"), "'dev'", "train, validation, test")
    refused(lambda: mldoc.mldoc(tmp_path, "fr", "train", size=100), "100", "1000, 2000, 5000, 10000")
    write(tmp_path / "french.test", ROWS[0], ROWS[0])
    refused(lambda: mldoc.mldoc(tmp_path, "fr", "test"), "rows 1 to 2", "same (0)", "placeholders?")
    (tmp_path / "french.test").write_bytes("CCAT\tPain\nECAT\tCaf\xe9\n".encode("latin-1"))
    refused(lambda: mldoc.mldoc(tmp_path, "fr", "test"), "french.test, row 2", "0xe9", "UTF-8")


def test_indices_with_documents(tmp_path, capsys):
    rcv = write_rcv(tmp_path / "rcv", {"FDXX1-11": item(), "FDXX2-12": item(("E1", "ECAT"), "Mehr Brot.")})
    write(tmp_path / "german.dev", "FDXX1-11", "FDXX2-12")
    read = mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv)
    assert read == [Example("Nüsse & Kerne. Sie steigen.", 3, "de"), Example("Mehr Brot.", 1, "de")]
    assert read.left_out == {} and not capsys.readouterr().err
    assert read == mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv / "RCV2_Multilingual_Corpus" / "german")


def test_english_lies_in_rcv1(tmp_path):
    documents = {"19990101-21newsML": item(("CCAT",), "Bread."), "19990102-22newsML": item(("GCAT",), "Council.")}
    rcv = write_rcv(tmp_path / "rcv", documents, "rcv1")
    write(tmp_path / "english.train.1000", *documents)
    assert [example.text for example in mldoc.mldoc(tmp_path, "en", "train", rcv=rcv)] == ["Bread.", "Council."]


def test_utf8_comes_before_the_encoding_that_is_declared(tmp_path):
    documents = {
        "F-1": item(("MCAT",), "Nüsse", encoding="iso-8859-1"),
        "F-2": item(("ECAT",), "Nüsse", encoding="iso-8859-1").encode("iso-8859-1"),
    }
    rcv = write_rcv(tmp_path / "rcv", documents)
    write(tmp_path / "german.dev", *documents)
    assert [example.text for example in mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv)] == ["Nüsse", "Nüsse"]
    for declared in ("UTF-8", "no-such-code", "hex"):
        write_rcv(rcv, {"F-2": item(("ECAT",), "Nüsse", encoding=declared).encode("iso-8859-1")})
        refused(lambda: mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv), "2.xml, row 6", "not UTF-8")


def test_documents_that_upstreams_script_leaves_out_are_counted(tmp_path, capsys):
    documents = {
        **{"F-1": item(), "F-2": item(("ECAT",)), "F-3": item(("MCAT", "ECAT")), "F-4": item(("M14",))},
        **{"F-5": "<newsitem><text><p>cut", "F-6": item(("MCAT",), "Text.", ""), "F-7": item(("MCAT",), " ")},
    }
    rcv = write_rcv(tmp_path / "rcv", documents)
    path = write(tmp_path / "german.test", *documents)
    read = mldoc.mldoc(tmp_path, "de", "test", rcv=rcv)
    assert [example.label for example in read] == [3, 1]
    assert read.left_out == {mldoc.NOT_ONE_CLASS: 2, mldoc.MALFORMED: 1, mldoc.EMPTY: 2}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{path}: 5 of 7 rows" in said and "first row 3" in said
    write(path, "F-3", "F-5")
    refused(lambda: mldoc.mldoc(tmp_path, "de", "test", rcv=rcv), "no row of 1 to 2")


@pytest.mark.parametrize(
    "head", ['<!DOCTYPE newsitem [<!ENTITY a "aaaa">]>\n', '<!DOCTYPE newsitem SYSTEM "http://127.0.0.1:9/a.dtd">\n']
)
def test_document_types_and_entities_are_refused(tmp_path, head):
    rcv = write_rcv(tmp_path / "rcv", {"F-1": item(head=head)})
    write(tmp_path / "german.dev", "F-1")
    refused(lambda: mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv), "1.xml", "document type", "refused")


def test_damaged_indices_are_refused(tmp_path):
    rcv = write_rcv(tmp_path / "rcv", {"F-1": item()})
    write(tmp_path / "german.dev", "F-1", "F-2")
    refused(lambda: mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv), "german.dev, row 2", "2.xml", "rcv=")
    refused(lambda: mldoc.mldoc(tmp_path, "de", "validation", rcv=tmp_path / "no"), "no such folder", "NIST")
    for row in ("../x-1", "F-1/../2", "CCAT\tText", ""):
        write(tmp_path / "german.dev", "F-1", row, "F-1")
        refused(lambda: mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv), "german.dev, row 2", "no index such as")
    write(tmp_path / "german.dev", "F-1", "F-1")
    refused(lambda: mldoc.mldoc(tmp_path, "de", "validation", rcv=rcv), "rows 1 to 2", "same (3)")
