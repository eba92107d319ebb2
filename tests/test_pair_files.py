"""Readers of PAWS-X, XNLI and XTREME's translations: what they read, what they leave out, and what they refuse."""

from pathlib import Path

import pytest
from real_files import REAL, needs
from refusals import refused

from xltlib import errors
from xltlib.corpora import guards, pair_files
from xltlib.corpora.guards import Kept
from xltlib.corpora.pair_files import PairExample

PAWSX_HEADER = "id\tsentence1\tsentence2\tlabel"
XNLI_HEADER = "\t".join(
    [
        *("language", "gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse"),
        *("sentence2_parse", "sentence1", "sentence2", "promptID", "pairID", "genre", "label1", "label2", "label3"),
        *("label4", "label5", "sentence1_tokenized", "sentence2_tokenized", "match"),
    ]
)
PAIRS = ['1\tDer Hahn weckt den "Hof.\tDer Hof weckt den Hahn.\t0', "2\tEs regnet.\tRegen fällt.\t1"]


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def write_pawsx(
    folder: Path, *rows: str, language: str = "de", name: str = "dev_2k", header: str = PAWSX_HEADER
) -> Path:
    return write(folder / "x-final" / language / f"{name}.tsv", header, *(rows or PAIRS))


def xnli_row(
    language: str = "de", label: str = "neutral", first: str = "Sie singt.", second: str = "Er hört zu."
) -> str:
    return "\t".join([language, label, "", "", "", "", first, second, "7", "8", "letters", *[""] * 8])


def write_xnli(folder: Path, *rows: str, part: str = "dev") -> Path:
    rows = rows or [xnli_row(label=label) for label in pair_files.XNLI_CLASSES]
    return write(folder / "XNLI-1.0" / f"xnli.{part}.tsv", XNLI_HEADER, *rows)


def write_train(folder: Path, *rows: str, language: str = "de") -> Path:
    path = folder / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{language}.tsv"
    return write(path, "premise\thypo\tlabel", *rows)


def test_pawsx_reads_each_split_from_its_file(tmp_path, capsys):
    write_pawsx(tmp_path)
    write_pawsx(tmp_path, name="translated_train")
    write_pawsx(tmp_path, name="train", language="en")
    write_pawsx(tmp_path, name="test_2k", language="ko")
    read = pair_files.pawsx(tmp_path, "de", "validation")
    assert read == [
        PairExample('Der Hahn weckt den "Hof.', "Der Hof weckt den Hahn.", 0, "de"),
        PairExample("Es regnet.", "Regen fällt.", 1, "de"),
    ]
    assert read.left_out == {}
    for language, split in (("de", "train"), ("en", "train"), ("ko", "test")):
        assert [pair.language for pair in pair_files.pawsx(tmp_path, language, split)] == [language] * 2
    assert capsys.readouterr().err == ""


def test_pawsx_placeholders_are_left_out_and_counted(tmp_path, capsys):
    path = write_pawsx(tmp_path, PAIRS[0], "3\tNS\tNS\t0", "4\tEin Satz.\tNS\t0", "5\tNS \tEin Satz.\t1", PAIRS[1])
    read = pair_files.pawsx(tmp_path, "de", "validation")
    assert isinstance(read, Kept) and len(read) == 2 and read.left_out == {pair_files.NS_REASON: 3}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(path) in said and "3 of 5 rows" in said and "NS" in said and "row 3" in said


def test_failed_translations_are_left_out_where_a_machine_translated(tmp_path, capsys):
    write_pawsx(tmp_path, *PAIRS, "3\t\t\t0", "4\t\tEin Satz.\t1", name="translated_train")
    assert pair_files.pawsx(tmp_path, "de", "train").left_out == {pair_files.EMPTY_REASON: 2}
    assert "2 of 4 rows" in capsys.readouterr().err
    write_pawsx(tmp_path, *PAIRS, "4\t\tA sentence.\t1", name="train", language="en")
    refused(lambda: pair_files.pawsx(tmp_path, "en", "train"), "train.tsv, row 4", "first sentence is empty")


@pytest.mark.parametrize(
    "rows, words",
    [
        (["1\tEins.\tZwei.\t2"], ("row 2", "'2'", "0 to 1")),
        (["1\tEins.\tZwei.\tja"], ("row 2", "'ja'", "0 to 1")),
        (["1\tEins.\tZwei.\t"], ("row 2", "missing or a placeholder", "upstream")),
        ([*PAIRS, "1\tEins.\tZwei.\t-1"], ("row 4", "'-1'", "placeholder")),
        ([*PAIRS, "1\tEins.\tZwei."], ("row 4", "3 columns, not 4", "unquoted")),
        ([*PAIRS, "1\tEins.\tZwei.\t0\t"], ("row 4", "5 columns, not 4")),
        ([*PAIRS, "", "1\tEins.\tZwei.\t0"], ("row 4", "1 columns, not 4")),
        ([*PAIRS, "1\tEins.\t \t0"], ("row 4", "second sentence is empty")),
        ([PAIRS[0], PAIRS[0]], ("rows 2 to 3", "every label is the same (0)")),
        (["3\tNS\tNS\t0", "4\tNS\tNS\t0"], ("no row of 2 to 3",)),
    ],
)
def test_damaged_pawsx_is_refused(tmp_path, rows, words):
    write_pawsx(tmp_path, *rows)
    refused(lambda: pair_files.pawsx(tmp_path, "de", "validation"), "dev_2k.tsv", *words)


def test_pawsx_test_labels_that_were_withheld(tmp_path):
    write_pawsx(tmp_path, PAIRS[0], PAIRS[0], name="test_2k")
    refused(lambda: pair_files.pawsx(tmp_path, "de", "test"), "test_2k.tsv, rows 2 to 3", "placeholders?", "validation")


def test_pawsx_file_column_encoding_and_names(tmp_path):
    refused(lambda: pair_files.pawsx(tmp_path, "de", "test"), "test_2k.tsv", "no such file", "x-final.tar.gz")
    refused(lambda: pair_files.pawsx(tmp_path, "it", "test"), "'it'", "de, en, es, fr, ja, ko, zh")
    refused(lambda: pair_files.pawsx(tmp_path, "de", "dev"), "'dev'", "train, validation, test")
    path = write_pawsx(tmp_path, "1\tEins.\tZwei.", header="id\tsentence1\tsentence2")
    refused(lambda: pair_files.pawsx(tmp_path, "de", "validation"), "dev_2k.tsv, row 1", "'label'", "id, sentence1")
    path.write_bytes(f"{PAWSX_HEADER}\n1\tK\xe4se\tBrot\t0\n".encode("latin-1"))
    refused(lambda: pair_files.pawsx(tmp_path, "de", "validation"), "dev_2k.tsv, row 2", "0xe4", "UTF-8")
    path.write_text("")
    refused(lambda: pair_files.pawsx(tmp_path, "de", "validation"), "dev_2k.tsv", "empty")
    write(path, PAWSX_HEADER)
    refused(lambda: pair_files.pawsx(tmp_path, "de", "validation"), "dev_2k.tsv", "right file")


def test_byte_order_mark_line_ends_and_other_separators(tmp_path):
    path = write_pawsx(tmp_path)
    path.write_bytes(f"\ufeff{PAWSX_HEADER}\r\n1\tEins\u2028und mehr\tZwei\t0\r\n2\tDrei\tVier\t1\r\n".encode())
    read = pair_files.pawsx(tmp_path, "de", "validation")
    assert [(pair.first, pair.label) for pair in read] == [("Eins\u2028und mehr", 0), ("Drei", 1)]


def test_xnli_reads_one_language_by_column_names(tmp_path, capsys):
    write_xnli(
        tmp_path,
        xnli_row("en", "entailment", "She sings.", "There is singing."),
        xnli_row("de", "contradiction", 'Sie sagt: "Nein.', "Sie schweigt."),
        xnli_row("de", "-"),
        xnli_row("de", "entailment"),
        part="test",
    )
    read = pair_files.xnli(tmp_path, "de", "test")
    assert read[0] == PairExample('Sie sagt: "Nein.', "Sie schweigt.", 2, "de")
    assert [pair.label for pair in read] == [2, 0] and read.left_out == {pair_files.NO_GOLD_REASON: 1}
    assert "1 of 3 rows" in (said := capsys.readouterr().err) and "row 4" in said
    refused(lambda: pair_files.xnli(tmp_path, "fr", "test"), "xnli.test.tsv", "'fr'", "de, en")
    refused(lambda: pair_files.xnli(tmp_path, "en", "test"), "rows 2 to 2", "placeholders?")


def test_xnli_training_files(tmp_path, capsys):
    rows = ["Sie singt.\tEs ist still.\tcontradictory", "Er isst.\tEr kaut.\tentailment", "\tLeer.\tneutral"]
    write_train(tmp_path, *rows)
    read = pair_files.xnli(tmp_path, "de", "train")
    assert [pair.label for pair in read] == [2, 0] and read.left_out == {pair_files.EMPTY_REASON: 1}
    assert "multinli.train.de.tsv" in capsys.readouterr().err
    write_train(tmp_path, *rows, language="en")
    refused(lambda: pair_files.xnli(tmp_path, "en", "train"), "multinli.train.en.tsv, row 4", "empty")


@pytest.mark.parametrize(
    "rows, words",
    [
        ([xnli_row(label="maybe")], ("row 2", "'maybe'", "entailment, neutral, contradiction")),
        ([xnli_row(label="")], ("row 2", "''", "entailment, neutral, contradiction")),
        ([xnli_row(second="")], ("row 2", "second sentence is empty")),
        ([xnli_row(), xnli_row().removesuffix("\t")], ("row 3", "18 columns, not 19")),
        ([xnli_row(), xnli_row()], ("rows 2 to 3", "every label is the same (1)")),
        ([xnli_row(label="-")], ("no row of 2 to 2",)),
    ],
)
def test_damaged_xnli_is_refused(tmp_path, rows, words):
    write_xnli(tmp_path, *rows)
    refused(lambda: pair_files.xnli(tmp_path, "de", "validation"), "xnli.dev.tsv", *words)


def test_xnli_files_columns_and_names(tmp_path):
    refused(lambda: pair_files.xnli(tmp_path, "de", "train"), "multinli.train.de.tsv", "XNLI-MT-1.0.zip")
    refused(lambda: pair_files.xnli(tmp_path, "de", "test"), "xnli.test.tsv", "XNLI-1.0.zip")
    refused(lambda: pair_files.xnli(tmp_path, "ja", "test"), "'ja'", "ar, bg, de")
    refused(lambda: pair_files.xnli(tmp_path, "de", "dev"), "'dev'", "train, validation, test")
    write(tmp_path / "XNLI-1.0" / "xnli.dev.tsv", "language\tsentence1\tsentence2", "de\tEins.\tZwei.")
    refused(lambda: pair_files.xnli(tmp_path, "de", "validation"), "xnli.dev.tsv, row 1", "'gold_label'")


def test_xtreme_gives_originals_and_translations_row_by_row(tmp_path, capsys):
    path = write(
        tmp_path / "en-de-translated.tsv",
        "She sings.\tThere is song.\tSie singt.\tEs gibt Gesang.\tentailment",
        "He eats.\tHe fasts.\t\tEr fastet.\tcontradictory",
        'He says "no.\tHe agrees.\tEr sagt "nein.\tEr stimmt zu.\tcontradictory',
        "He walks.\tHe hums.\tEr geht.\tEr summt.\t-",
    )
    originals, translations = pair_files.xtreme(path, "xnli", "en", "de")
    assert originals[1] == PairExample('He says "no.', "He agrees.", 2, "en")
    assert translations[1] == PairExample('Er sagt "nein.', "Er stimmt zu.", 2, "de")
    assert [pair.label for pair in originals] == [pair.label for pair in translations] == [0, 2]
    assert originals.left_out == translations.left_out == {pair_files.EMPTY_REASON: 1, pair_files.NO_GOLD_REASON: 1}
    assert "2 of 4 rows" in capsys.readouterr().err


def test_xtreme_of_pawsx_and_its_damage(tmp_path):
    rows = ["Eins.\tZwei.\tOne.\tTwo.\t0", "NS\tZwei.\tNS\tTwo.\t0", "Drei.\tVier.\tThree.\tFour.\t1"]
    path = write(tmp_path / "test-de-en-translated.tsv", *rows)
    originals, translations = pair_files.xtreme(path, "pawsx", "de", "en")
    assert [pair.second for pair in originals] == ["Zwei.", "Vier."] and translations[1].first == "Three."
    refused(lambda: pair_files.xtreme(path, "mldoc", "de", "en"), "'mldoc'", "pawsx, xnli")
    refused(lambda: pair_files.xtreme(path, "pawsx", "de", "it"), "'it'", "de, en")
    refused(lambda: pair_files.xtreme(tmp_path / "no.tsv", "pawsx", "de", "en"), "no.tsv", "XTREME")
    write(path, rows[0], "Eins.\tZwei.\tOne.\tTwo.")
    refused(lambda: pair_files.xtreme(path, "pawsx", "de", "en"), "row 2", "4 columns, not 5")
    write(path, rows[0], rows[0])
    refused(lambda: pair_files.xtreme(path, "pawsx", "de", "en"), "rows 1 to 2", "placeholders?")
    write(path, rows[0], "\tZwei.\tOne.\tTwo.\t1")
    refused(lambda: pair_files.xtreme(path, "pawsx", "de", "en"), "row 2", "first sentence is empty")


def test_sift_counts_each_reason_and_is_silent_without_any(tmp_path, capsys):
    kept = guards.sift([(2, "a hole"), (3, "x"), (4, "a hole"), (5, ("good",))], tmp_path / "a.tsv")
    assert kept == [("good",)] and kept.left_out == {"a hole": 2, "x": 1}
    assert (
        capsys.readouterr().err == f"{tmp_path / 'a.tsv'}: 3 of 4 rows left out: 2 with a hole, 1 with x; first row 2\n"
    )
    assert guards.sift([(1, 1)], tmp_path).left_out == {} and not capsys.readouterr().err


def test_choice_lists_the_names():
    assert errors.choice("a", {"a": 1}, "letter") == "a"
    refused(lambda: errors.choice(3, (1, 2), "size"), "unknown size 3: use one of 1, 2")


@needs("pawsx")
def test_real_pawsx(capsys):
    for split, left_out, ones in (("validation", 16, 203), ("test", 4, 214)):
        read = pair_files.pawsx(REAL / "pawsx", "de", split)
        assert len(read) == 500 - left_out and read.left_out == {pair_files.NS_REASON: left_out}
        assert sum(pair.label for pair in read) == ones
    assert "16 of 500 rows" in capsys.readouterr().err


@needs("pawsx")
def test_real_xnli(capsys):
    for language in ("de", "en", "es", "sw", "ur", "zh"):
        for split in ("validation", "test"):
            read = pair_files.xnli(REAL / "xnli" / "reconstructed", language, split)
            assert [sum(pair.label == label for pair in read) for label in range(3)] == [100] * 3
    assert not capsys.readouterr().err
