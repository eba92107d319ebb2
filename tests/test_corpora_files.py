"""Readers of upstream files: what they read, and the one line for each kind of damage."""

import json
import os
from pathlib import Path

import pytest

from xltlib.corpora import fetch, files, generation_files, guards, hub, mldoc, pair_files, review_files, token_files
from xltlib.corpora.guards import Example
from xltlib.errors import InputError
from xltlib.scales import ROOT

REAL = ROOT.parent / "shared" / "realdata" / "umsab"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="the real UMSAB files are not beside this repository")
TWEETS = {"en": "We don\\u2019t know", "es": "No sabemos", "fr": "On ne sait pas"}


def write_umsab(folder: Path, per_class: int = 3) -> Path:
    """Made-up files of upstream's shape: every language and split."""
    for code, name in files.UMSAB.items():
        (folder / name).mkdir(parents=True)
        for split in files.UMSAB_SPLITS.values():
            labels = [i % 3 for i in range(3 * per_class)]
            texts = [f"{TWEETS[code]} {split} {i}" for i in range(len(labels))]
            (folder / name / f"{split}_text.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
            (folder / name / f"{split}_labels.txt").write_text("\n".join(map(str, labels)), encoding="utf-8")
    return folder


def review(**changes) -> dict:
    """A made-up review with upstream's fields."""
    values = {
        **{"review_id": "de_1", "product_id": "product_de_1", "reviewer_id": "reviewer_de_1", "stars": "4"},
        **{"review_body": "Tut, was es soll.", "review_title": "Gut", "language": "de", "product_category": "kitchen"},
    }
    return values | changes


def write_marc(folder: Path, *reviews: dict, split: str = "train") -> Path:
    rows = reviews or [review(stars=str(s), review_body=f"Text mit {s} Sternen") for s in range(1, 6)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"dataset_de_{split}.json").write_text(lines, encoding="utf-8")
    return folder


def one_line(error: pytest.ExceptionInfo) -> str:
    """The message, checked to be one line."""
    message = str(error.value)
    assert "\n" not in message and "Traceback" not in message
    return message


def damaged(call, *words: str) -> str:
    """The call raises InputError in one line that holds the words."""
    with pytest.raises(InputError) as error:
        call()
    message = one_line(error)
    for word in words:
        assert word in message, message
    return message


def test_umsab_decodes_escapes_and_keeps_the_rest(tmp_path):
    read = files.umsab(write_umsab(tmp_path), "en", "validation")
    assert read[0] == Example("We don’t know val 0", 0, "en")
    assert [example.label for example in read] == [0, 1, 2] * 3
    assert files.unescape(r"\ud83d\ude00 \o/ \u00e9") == "😀 \\o/ é"
    assert files.unescape(r"\ud83d alone") == "\ufffd alone"


def test_half_a_character_in_umsab_is_replaced_and_counted(tmp_path, capsys):
    path = write_umsab(tmp_path) / "english" / "val_text.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[1], lines[3] = r"half \ud83d and \ude00, whole \ud83d\ude00", r"\udc00"
    path.write_text("\n".join(lines), encoding="utf-8")
    read = files.umsab(tmp_path, "en", "validation")
    assert [read[1].text, read[3].text] == ["half \ufffd and \ufffd, whole 😀", "\ufffd"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(path) in said and "2 texts" in said and said.endswith("first row 2\n")


@pytest.mark.parametrize("field", ["review_body", "review_title", "product_category"])
def test_half_a_character_in_marc_is_replaced_and_counted(tmp_path, field, capsys):
    rows = [review(stars=str(s)) for s in range(1, 6)]
    rows[2][field] = "😀 \ud83d gut \ude00"
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "dataset_de_train.json").write_text(lines, encoding="utf-8")
    texts = [example.text for example in files.marc(tmp_path, "de", "train", title=True)]
    assert ("😀 \ufffd gut \ufffd" in texts[2]) == field.startswith("review_")
    assert all(text.encode("utf-8") for text in texts) and all("\ufffd" not in text for text in texts[:2] + texts[3:])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "dataset_de_train.json: 1 texts" in said and f"first row 3.{field}" in said


def test_half_a_character_in_a_copy_is_refused(tmp_path):
    copy = tmp_path / "copy" / "de" / "train.jsonl"
    copy.parent.mkdir(parents=True)
    copy.write_text("".join(json.dumps({"text": t, "label": i}) + "\n" for i, t in enumerate(("a", "b \ud83d"))))
    read = lambda: hub.marc_copy("de", "train", name=str(tmp_path / "copy"), cache=tmp_path / "cache")  # noqa: E731
    damaged(read, "train.jsonl", "half of a character", r"put \ufffd")


HALF = "\ud83d".encode("utf-8", "surrogatepass")
READERS = {
    "csv": lambda path: files.csv(path, "en"),
    "conllu": lambda path: token_files.conllu(path, "en"),
    "multiconer": lambda path: token_files.multiconer(path, "en"),
    "aqmar": token_files.aqmar,
    "squad": generation_files.squad,
    "mgsm": lambda path: generation_files.mgsm(path.parent, "de", "test"),
    "marc": lambda path: files.marc(path.parent, "de", "train"),
    "xtreme": lambda path: pair_files.xtreme(path, "pawsx", "en", "de"),
    "mldoc": lambda path: mldoc.mldoc(path.parent, "de", "validation"),
    "rureviews": review_files.rureviews,
}
NAMES = {"mgsm": "mgsm_de.tsv", "marc": "dataset_de_train.json", "mldoc": "german.dev"}


@pytest.mark.parametrize("name", READERS)
def test_half_a_character_in_bytes_is_refused_with_its_row(tmp_path, name):
    path = tmp_path / NAMES.get(name, "some.txt")
    path.write_bytes(b"text\nand " + HALF + b"\n")
    damaged(lambda: READERS[name](path), path.name, "row 2", "not UTF-8 (byte 0xed)")


@pytest.mark.parametrize(
    "file, change, words",
    [
        ("test_labels.txt", lambda t: t.replace("2", "7", 1), ("row 3", "'7'", "0 to 2")),
        ("test_labels.txt", lambda t: t.replace("2", "positive", 1), ("row 3", "'positive'")),
        ("test_labels.txt", lambda t: "\n".join(["0"] * 9), ("test_text.txt, rows 1 to 9", "placeholder")),
        ("train_labels.txt", lambda t: "\n".join(["0"] * 9), ("rows 1 to 9", "every label is the same (0)")),
        ("train_labels.txt", lambda t: t.replace("2", "1", 1), ("class sizes 3, 4, 2", "upstream")),
        ("train_labels.txt", lambda t: t + "\n0", ("row 10", "10 labels for 9 texts")),
        ("train_text.txt", lambda t: t.split("\n", 1)[1], ("train_labels.txt, row 9", "9 labels for 8 texts")),
        ("train_text.txt", lambda t: t.replace("We don\\u2019t know train 4", " "), ("row 5", "empty")),
        ("train_text.txt", lambda t: "", ("empty", "xlt data get umsab")),
    ],
)
def test_damaged_umsab_is_one_line(tmp_path, file, change, words):
    path = write_umsab(tmp_path) / "english" / file
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    split = "test" if file.startswith("test") else "train"
    damaged(lambda: files.umsab(tmp_path, "en", split), "english", *words)


def test_wrong_encoding_missing_file_and_unknown_names(tmp_path):
    write_umsab(tmp_path)
    path = tmp_path / "spanish" / "train_text.txt"
    path.write_bytes(path.read_bytes().replace(b"No sabemos train 2", "Ma\xf1ana".encode("latin-1")))
    damaged(lambda: files.umsab(tmp_path, "es", "train"), "train_text.txt, row 3", "0xf1", "UTF-8")
    (tmp_path / "french" / "val_text.txt").unlink()
    damaged(lambda: files.umsab(tmp_path, "fr", "validation"), "val_text.txt", "xlt data get umsab")
    damaged(lambda: files.umsab(tmp_path, "de", "train"), "'de'", "en, es, fr")
    damaged(lambda: files.umsab(tmp_path, "en", "dev"), "'dev'", "train, validation, test")


def test_lines_are_split_at_line_feeds_only(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\u2028still one\r\ntwo\r\n".encode())
    assert guards.read_lines(tmp_path / "a.txt") == ["one\u2028still one", "two"]


def test_duplicates_are_counted_per_test_item():
    train = [Example("a  b", 0, "en"), Example("c", 1, "en")]
    test = [Example("a b ", 0, "en"), Example("a b", 1, "en"), Example("d", 0, "en")]
    assert guards.duplicates(train, test) == 2


def test_marc_reads_upstreams_form(tmp_path):
    write_marc(tmp_path)
    read = files.marc(tmp_path, "de", "train")
    assert [example.label for example in read] == [0, 1, 2, 3, 4]
    assert read[0] == Example("Text mit 1 Sternen", 0, "de")
    assert files.marc(tmp_path, "de", "train", title=True)[0].text == "Gut\nText mit 1 Sternen"


def test_marc_is_named_by_its_files_or_by_the_hub_copys_commit(tmp_path, monkeypatch):
    monkeypatch.delenv("XLT_DATA", raising=False)
    assert hub.MARC_REVISION[:8] in hub.marc_name()
    monkeypatch.setenv("XLT_DATA", str(tmp_path))
    write_marc(tmp_path)
    first = hub.marc_name()
    write_marc(tmp_path, review(stars="2"))
    assert first.startswith("marc@") and hub.marc_name().startswith("marc@") and hub.marc_name() != first
    damaged(lambda: files.folder_fingerprint("x", tmp_path / "none"), "no files of x")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"stars": "6"}, ("'6'", "1 to 5")),
        ({"stars": None}, ("None", "1 to 5")),
        ({"language": "en"}, ("'en'", "'de'")),
        ({"review_body": " "}, ("empty",)),
        ({"review_body": None}, ("review_body", "not a text")),
    ],
)
def test_damaged_marc_is_one_line(tmp_path, changes, words):
    write_marc(tmp_path, review(stars="1"), review(**changes))
    damaged(lambda: files.marc(tmp_path, "de", "train"), "dataset_de_train.json, row 2", *words)


def test_marc_field_missing_json_broken_labels_withheld(tmp_path):
    short = {name: value for name, value in review().items() if name != "stars"}
    write_marc(tmp_path, review(stars="1"), short)
    damaged(lambda: files.marc(tmp_path, "de", "train"), "row 2", "no field stars")
    (tmp_path / "dataset_de_dev.json").write_text(json.dumps(review()) + '\n{"stars": 3', encoding="utf-8")
    damaged(lambda: files.marc(tmp_path, "de", "validation"), "dataset_de_dev.json, row 2", "JSON")
    write_marc(tmp_path, review(), review(), split="test")
    damaged(lambda: files.marc(tmp_path, "de", "test"), "placeholder")
    damaged(lambda: files.marc(tmp_path, "fr", "test"), "dataset_fr_test.json", "withdrawn")
    damaged(lambda: files.marc(tmp_path, "ru", "test"), "'ru'", "ja")


def test_csv_with_names_numbers_and_quoted_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid,body,mood\r\n1,"two\r\nlines, one cell",pos\r\n2,short,neg\r\n'.encode())
    read = files.csv(path, "en", text="body", label="mood", labels=("neg", "pos"))
    assert read == [Example("two\nlines, one cell", 1, "en"), Example("short", 0, "en")]
    path.write_text("text,label\na,0\nb,2\n", encoding="utf-8")
    assert [example.label for example in files.csv(path, "fr")] == [0, 2]


@pytest.mark.parametrize(
    "content, words",
    [
        ("text,mood\na,0\n", ("row 1", "'label'", "text, mood")),
        ("text,label\na,good\n", ("row 2", "'good'", "labels=")),
        ("text,label\na,0\nb,c,1\n", ("row 3", "3 cells under 2 columns")),
        ("text,label\na,0\nb\n", ("row 3", "1 cells under 2 columns")),
        ("text,label\na,0\n ,1\n", ("row 3", "empty")),
        ("text,label\na,1\nb,1\n", ("rows 2 to 3", "every label is the same (1)")),
        ('text,label\na,0\n"b,1\n', ("row 3", "not CSV")),
        ("text,label\n", ("no rows",)),
        ("", ("empty",)),
    ],
)
def test_damaged_csv_is_one_line(tmp_path, content, words):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    damaged(lambda: files.csv(path, "en"), "a.csv", *words)


def test_csv_label_outside_the_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,neg\nb,meh\n", encoding="utf-8")
    damaged(lambda: files.csv(path, "en", labels=("neg", "pos")), "row 3", "'meh'", "neg, pos")


def write_copy(folder: Path, rows: list[dict]) -> Path:
    (folder / "de").mkdir(parents=True)
    (folder / "de" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_hub_copy_names_its_deviation(tmp_path):
    rows = [{"id": f"de_{s}", "text": f"Titel\n\nText {s}", "label": s, "label_text": str(s)} for s in range(5)]
    corpus = hub.marc_copy("de", "train", name=str(write_copy(tmp_path / "copy", rows)), cache=tmp_path / "cache")
    assert corpus.name == f"marc:copy ({hub.DEVIATION})"
    assert corpus[4] == Example("Titel\n\nText 4", 4, "de") and len(corpus) == 5
    short = hub.marc_copy("de", "train", name=str(tmp_path / "copy"), cache=tmp_path / "cache", limit=2)
    assert [example.label for example in short] == [0, 1]


def test_hub_copy_in_upstreams_columns_has_no_deviation(tmp_path):
    rows = [review(stars=s) for s in range(1, 6)]
    corpus = hub.marc_copy("de", "train", name=str(write_copy(tmp_path / "copy", rows)), cache=tmp_path / "cache")
    assert corpus.name == "marc:copy" and [example.label for example in corpus] == [0, 1, 2, 3, 4]


def test_hub_copy_with_other_columns_or_labels(tmp_path):
    copy = write_copy(tmp_path / "a", [{"words": "x", "label": 0}])
    damaged(lambda: hub.marc_copy("de", "train", name=str(copy), cache=tmp_path / "c"), "train.jsonl", "words")
    copy = write_copy(tmp_path / "b", [{"text": "x", "label": 0}, {"text": "y", "label": 5}])
    damaged(lambda: hub.marc_copy("de", "train", name=str(copy), cache=tmp_path / "c"), "row 2", "5")
    damaged(lambda: hub.marc_copy("de", "test", name=str(copy)), "test.jsonl", "no such file")


def test_without_the_hub_one_line_at_once(monkeypatch):
    monkeypatch.delenv("XLT_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    damaged(lambda: hub.marc("de", "train"), "HF_HUB_OFFLINE", "local folder")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    damaged(lambda: hub.marc("de", "train"), hub.MARC_COPY, "cannot be reached")


def test_marc_of_the_paper_scale_prefers_upstreams_files(tmp_path, monkeypatch):
    (tmp_path / "marc").mkdir()
    write_marc(tmp_path / "marc")
    monkeypatch.setenv("XLT_DATA", str(tmp_path))
    corpus = hub.marc("de", "train")
    assert corpus.name == "marc" and len(corpus[:3]) == 3


def test_locate_takes_the_folder_the_variable_or_the_download(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "BUILD", tmp_path / "build")
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    damaged(lambda: fetch.locate("umsab"), "xlt data get umsab", fetch.VARIABLE)
    downloaded = write_umsab(tmp_path / "build" / "data" / "umsab")
    assert fetch.locate("umsab") == downloaded
    monkeypatch.setenv(fetch.VARIABLE, str(tmp_path / "mine"))
    write_umsab(tmp_path / "mine" / "umsab")
    assert fetch.locate("umsab") == tmp_path / "mine" / "umsab"
    assert fetch.locate("umsab", downloaded) == downloaded
    damaged(lambda: fetch.locate("umsab", tmp_path / "none"), "none")
    damaged(lambda: fetch.locate("marc"), "'marc'", "umsab")


def test_get_without_a_network_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "ADDRESS", "http://127.0.0.1:9/{path}")
    damaged(lambda: fetch.get("umsab", tmp_path), "cannot download", "network", fetch.VARIABLE)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_get_keeps_whole_files_and_refuses_others(tmp_path, monkeypatch):
    source = write_umsab(tmp_path / "source")
    rows = [{"path": f"data/sentiment/{p}", "sha256": _hash(source / p)} for p in files.umsab_paths()]
    monkeypatch.setattr(fetch, "sources", lambda name: rows)

    def copy(url, output_file, pooch):
        Path(output_file).write_bytes((source / url.split("sentiment/")[1]).read_bytes())

    monkeypatch.setattr(fetch, "ADDRESS", "{path}")
    monkeypatch.setattr("pooch.HTTPDownloader", lambda **_: copy)
    place = fetch.get("umsab", tmp_path / "mine")
    assert files.umsab_fingerprint(place) == fetch.pinned("umsab") == files.umsab_fingerprint(source)
    monkeypatch.setattr("pooch.HTTPDownloader", lambda **_: None)  # nothing is downloaded a second time
    assert fetch.get("umsab", tmp_path / "mine") == place
    monkeypatch.setattr("pooch.HTTPDownloader", lambda **_: lambda url, out, p: Path(out).write_bytes(b"other"))
    (place / "english" / "val_text.txt").write_bytes(b"cut")
    damaged(lambda: fetch.get("umsab", place), "val_text.txt", "sha256", "pinned")


def _hash(path: Path) -> str:
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()


def test_pins_cover_the_files_that_are_read():
    rows = fetch.sources("umsab")
    assert sorted("/".join(row["path"].split("/")[-2:]) for row in rows) == files.umsab_paths()
    assert {len(row["sha256"]) for row in rows} == {64} and len({row["commit"] for row in rows}) == 1


@needs_real
def test_real_umsab_is_whole_and_clean():
    assert files.umsab_fingerprint(REAL) == fetch.pinned("umsab")
    for code in files.UMSAB:
        read = {split: files.umsab(REAL, code, split) for split in files.UMSAB_SPLITS}
        assert [len(examples) for examples in read.values()] == [1839, 324, 870]
        assert not [e for examples in read.values() for e in examples if "\\u2" in e.text]
        assert guards.duplicates(read["train"], read["test"]) == (6 if code == "fr" else 0)


def test_the_repository_does_not_hold_the_corpus():
    assert sorted(os.listdir(ROOT / "data" / "umsab")) == ["README.md", "sources.csv"]
