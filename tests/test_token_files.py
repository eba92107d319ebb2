"""Readers of UD, MultiCoNER and AQMAR: what they read, what they leave out, and what they refuse."""

from collections import Counter
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from real_files import REAL, needs
from refusals import refused

from xltlib.corpora import token_files
from xltlib.corpora.guards import Kept
from xltlib.corpora.token_files import NER, UPOS, Tagged

# What is in the files, counted with grep and awk: sentences and words; for the names also the words tagged B and I.
UD_SIZES = {
    "ud/UD_Chinese-GSD/zh_gsd-ud-dev": (200, 5145),
    "ud/UD_Chinese-GSD/zh_gsd-ud-test": (200, 4774),
    "ud/UD_English-GUM/en_gum-ud-dev": (200, 5202),
    "ud/UD_English-GUM/en_gum-ud-test": (200, 4275),
    "ud/UD_English-GUM/en_gum-ud-train": (800, 18432),
    "ud/UD_French-GSD/fr_gsd-ud-dev": (200, 4793),
    "ud/UD_French-GSD/fr_gsd-ud-test": (200, 5296),
    "ud/UD_Russian-Taiga/ru_taiga-ud-dev": (200, 1779),
    "ud/UD_Russian-Taiga/ru_taiga-ud-test": (200, 2565),
    "ud/UD_Russian-Taiga/ru_taiga-ud-train": (800, 9183),
    "ud/UD_Spanish-GSD/es_gsd-ud-dev": (200, 5230),
    "ud/UD_Spanish-GSD/es_gsd-ud-test": (200, 5454),
    "ud_pud/UD_Arabic-PUD/ar_pud-ud-test": (200, 4357),
    "ud_pud/UD_Chinese-PUD/zh_pud-ud-test": (200, 4280),
    "ud_pud/UD_English-PUD/en_pud-ud-test": (200, 4284),
    "ud_pud/UD_French-PUD/fr_pud-ud-test": (200, 4970),
    "ud_pud/UD_German-PUD/de_pud-ud-test": (200, 4321),
    "ud_pud/UD_Japanese-PUD/ja_pud-ud-test": (200, 5482),
    "ud_pud/UD_Russian-PUD/ru_pud-ud-test": (200, 4172),
    "ud_pud/UD_Spanish-PUD/es_pud-ud-test": (200, 4757),
}
MULTICONER_SIZES = {
    "DE-German/de_dev": (300, 4405, 462, 458),
    "DE-German/de_train": (2000, 28766, 2981, 2987),
    "EN-English/en_dev": (300, 4991, 456, 499),
    "EN-English/en_train": (2000, 33152, 3019, 3294),
    "ES-Spanish/es_dev": (300, 5280, 446, 372),
    "ES-Spanish/es_train": (2000, 35340, 2918, 2736),
    "KO-Korean/ko_dev": (300, 4350, 503, 215),
    "RU-Russian/ru_dev": (300, 4862, 389, 256),
    "ZH-Chinese/zh_dev": (300, 7542, 459, 1536),
}
AQMAR_SIZES = {
    "Atom": (119, 2457, 165, 23),
    "Computer": (119, 3194, 130, 138),
    "Damascus": (81, 2924, 326, 182),
    "Football": (96, 2661, 106, 100),
}


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def ud(number: int | str, form: str = "lamp", upos: str = "NOUN") -> str:
    return "\t".join([str(number), form, "_", upos, *["_"] * 6])


DEL = [ud("2-3", "del", "_"), ud(2, "de", "ADP"), ud(3, "el", "DET")]
MAR = ["# sent_id = 1", "# text = Luz del mar.", ud(1, "Luz"), *DEL, ud(4, "mar"), ud(5, ".", "PUNCT"), ""]
MAR_READ = Tagged(("Luz", "de", "el", "mar", "."), ("NOUN", "ADP", "DET", "NOUN", "PUNCT"), "es")


# UD -------------------------------------------------------------------------------------------------------------------


def test_conllu_reads_the_syntactic_words(tmp_path, capsys):
    path = write(
        tmp_path / "es.conllu",
        *MAR,
        "# text = Vienen 10 000",
        ud("0.1", "ya", "ADV"),
        ud(1, "Vienen", "VERB"),
        ud("1.1", "vienen", "VERB"),
        ud("1.2", "vienen", "_"),
        ud(2, "10 000", "NUM"),
        "",
    )
    read = token_files.conllu(path, "es")
    assert isinstance(read, Kept) and read.left_out == {} and capsys.readouterr().err == ""
    assert read == [MAR_READ, Tagged(("Vienen", "10 000"), ("VERB", "NUM"), "es")]
    assert token_files.conllu(str(path), "xx")[0].language == "xx"


def test_conllu_ends_marks_and_blank_lines(tmp_path):
    path = write(tmp_path / "es.conllu", *MAR[:-1])
    assert token_files.conllu(path, "es") == [MAR_READ]
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert token_files.conllu(path, "es") == [MAR_READ]
    write(path, "\ufeff# newdoc", "", *MAR, " ", "", *MAR, "# the end", end="\r\n")
    assert token_files.conllu(path, "es") == [MAR_READ] * 2
    write(path, ud(1, "a\u2028b\x85c"))
    assert token_files.conllu(path, "es")[0].words == ("a\u2028b\x85c",)


def test_conllu_sentences_without_their_words_or_tags_are_left_out_and_counted(tmp_path, capsys):
    path = write(
        tmp_path / "es.conllu",
        *MAR,
        "# no tag",
        *[ud(1), ud(2, upos="_"), ud(3, upos="N"), ""],
        *[ud(1, upos="N"), ""],
        *[ud(1, upos="noun"), ""],
        *[ud(1, upos=""), ""],
        *[ud(1, "_"), ud(2, "_", "PUNCT"), ""],
        *[ud(1, " "), ud(2), ""],
        *[ud(1, "_"), ud(2), ""],
    )
    read = token_files.conllu(path, "es")
    assert read == [MAR_READ, Tagged(("_", "lamp"), ("NOUN", "NOUN"), "es")]
    reasons = [token_files.MISSING_REASON, token_files.UPOS_REASON, token_files.WITHHELD_REASON]
    assert read.left_out == dict(zip([*reasons, token_files.WORD_REASON], (1, 3, 1, 1), strict=True))
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1 and str(path) in said and "6 of 8 rows" in said and f"first row {len(MAR) + 2}\n" in said
    )
    write(path, ud(1, "_"))
    refused(lambda: token_files.conllu(path, "es"), "es.conllu", "no sentence can be used", "right file")


@pytest.mark.parametrize(
    "lines, words",
    [
        ([ud(1), ud(3)], ("row 3: id '3' where 2 is due", "universaldependencies.org")),
        ([ud(2)], ("row 2: id '2' where 1 is due",)),
        ([ud(1), ud(1)], ("row 3: id '1' where 2 is due",)),
        ([ud(0)], ("row 2: id '0' where 1 is due",)),
        ([ud("")], ("row 2: id '' where 1 is due",)),
        ([ud("01")], ("row 2: id '01' where 1 is due",)),
        ([ud(" 1")], ("row 2: id ' 1' where 1 is due",)),
        ([ud("１")], ("row 2: id '１' where 1 is due",)),
        ([ud("ID", "FORM", "UPOS")], ("row 2: id 'ID' where 1 is due",)),
        ([ud("2-3", "del", "_"), ud(1)], ("row 2: id '2-3' where 1 is due",)),
        ([ud(1), ud("2-1", "del", "_"), ud(2)], ("row 3: id '2-1' where 2 is due",)),
        ([ud(1), ud("2-3", "del", "_"), ud(2)], ("row 4: the sentence ends before its word 3",)),
        ([ud("1-2", "del", "_"), "", *MAR], ("row 2: the sentence ends before its word 2",)),
        ([ud("0.1")], ("row 2: the sentence ends before its word 1",)),
        ([ud(1) + "\t_"], ("row 2: 11 columns, not 10",)),
        ([ud(1).removesuffix("\t_")], ("row 2: 9 columns, not 10",)),
        (["lamp"], ("row 2: 1 columns, not 10",)),
        ([ud(1).replace("\t", " ")], ("row 2: 1 columns, not 10",)),
    ],
)
def test_damaged_conllu_is_refused(tmp_path, lines, words):
    path = write(tmp_path / "es.conllu", "# text", *lines)
    refused(lambda: token_files.conllu(path, "es"), "es.conllu, ", *words)


@pytest.mark.parametrize("reader", [token_files.conllu, token_files.multiconer, token_files.aqmar])
def test_files_that_cannot_be_read_are_refused(tmp_path, reader):
    path = tmp_path / "some.txt"
    refused(lambda: reader(path, "es"), "some.txt", "no such file", "give a")
    refused(lambda: reader(tmp_path, "es"), str(tmp_path), "cannot be read", "give a")
    refused(lambda: reader(write(path), "es"), "some.txt", "empty", "give a")
    refused(lambda: reader(write(path, "", " "), "es"), "some.txt", "empty", "give a")
    path.write_bytes(b"\n\xe4")
    refused(lambda: reader(path, "es"), "some.txt, row 2", "0xe4", "UTF-8")


@pytest.mark.parametrize("reader", [token_files.conllu, token_files.multiconer])
def test_files_of_comments_alone_are_refused(tmp_path, reader):
    path = write(tmp_path / "some.txt", "# id 1", "", "# id 2")
    refused(lambda: reader(path, "es"), "some.txt", "no sentence can be used", "right file")


def test_treebank_takes_the_file_of_the_split(tmp_path):
    for part, form in (("train", "una"), ("dev", "dos"), ("test", "tres")):
        write(tmp_path / f"es_gsd-ud-{part}.conllu", ud(1, form))
    write(tmp_path / "README.md", "# Read me")
    write(tmp_path / "not-to-release" / "es_old-ud-test.conllu", ud(1, "cuatro"))
    for split, form in (("train", "una"), ("validation", "dos"), ("test", "tres")):
        assert token_files.treebank(tmp_path, split) == [Tagged((form,), ("NOUN",), "es")]
        assert token_files.treebank(str(tmp_path), split).left_out == {}
    refused(lambda: token_files.treebank(tmp_path, "dev"), "'dev'", "split", "train, validation, test")


def test_treebank_without_one_file_of_the_split_is_refused(tmp_path):
    refused(lambda: token_files.treebank(tmp_path / "none", "test"), "none: 0 files *ud-test.conllu", "no *.conllu")
    write(tmp_path / "gsw_uzh-ud-test.conllu", ud(1))
    assert token_files.treebank(tmp_path, "test")[0].language == "gsw"
    refused(lambda: token_files.treebank(tmp_path, "validation"), "0 files *ud-dev.conllu", "gsw_uzh-ud-test.conllu")
    write(tmp_path / "de_gsd-ud-test.conllu", ud(1))
    refused(lambda: token_files.treebank(tmp_path, "test"), "2 files *ud-test.conllu", "de_gsd-", "gsw_uzh-")
    for name in ("ud-train.conllu", "en-ud-train-a.conllu"):
        write(tmp_path / name, ud(1))
        refused(lambda: token_files.treebank(tmp_path, "train"), name, "no language", "es_gsd-")
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    "parts",
    [
        ("train-a", "train-b"),
        ("train-a-1", "train-a-2", "train-a-10", "train-b-1"),
        ("train-1", "train-2", "train-10"),
        ("train-c", "train-l", "train-m", "train-v"),
        ("train-a", "train-a-1", "train-b"),
        ("train-ca", "train-ct", "train-la"),
    ],
)
def test_treebank_reads_all_parts_of_a_split_in_order(tmp_path, parts, capsys):
    for i, part in enumerate(parts):
        write(tmp_path / f"ru_syntagrus-ud-{part}.conllu", ud(1, f"слово{i}"), "", ud(1, upos="_"))
    write(tmp_path / "ru_syntagrus-ud-dev.conllu", ud(1, "ой"))
    read = token_files.treebank(tmp_path, "train")
    assert [sentence.words for sentence in read] == [(f"слово{i}",) for i in range(len(parts))]
    assert {sentence.language for sentence in read} == {"ru"}
    assert read.left_out == {token_files.MISSING_REASON: len(parts)}
    assert capsys.readouterr().err.count("row 3") == len(parts)
    assert len(token_files.treebank(tmp_path, "validation")) == 1


def test_treebank_parts_that_do_not_belong_together_are_refused(tmp_path):
    for part in ("train", "train-a", "train-b"):
        write(tmp_path / f"ru_syntagrus-ud-{part}.conllu", ud(1))
    refused(
        lambda: token_files.treebank(tmp_path, "train"), "3 files *ud-train.conllu", "not one treebank's", "train-a"
    )
    (tmp_path / "ru_syntagrus-ud-train.conllu").rename(tmp_path / "ru_taiga-ud-train-c.conllu")
    refused(lambda: token_files.treebank(tmp_path, "train"), "3 files", "ru_syntagrus-", "ru_taiga-")


# MultiCoNER -----------------------------------------------------------------------------------------------------------

ADA = ["# id 1a-2b\tdomain=dev", "ada _ _ B-PER", "byron _ _ I-PER", "in _ _ O", "rom _ _ B-LOC", ""]
ADA_READ = Tagged(("ada", "byron", "in", "rom"), ("B", "I", "O", "B"), "de")


def test_multiconer_reads_words_and_reduced_tags(tmp_path, capsys):
    path = write(tmp_path / "de_dev.conll", "", *ADA, "", *ADA)
    read = token_files.multiconer(path, "de")
    assert isinstance(read, Kept) and read == [ADA_READ] * 2 and read.left_out == {}
    write(path, *ADA, *ADA[:-1], end="\r\n")
    assert token_files.multiconer(str(path), "de") == read and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "kind", ["Medication/Vaccine", "HumanSettlement", "OtherPER", "MusicalGRP", "CORP", "Art-Work_2"]
)
def test_multiconer_types_fine_or_coarse_do_not_matter(tmp_path, kind):
    path = write(tmp_path / "en-dev.conll", "# id 1\tdomain=en", f"a _ _ B-{kind}", f"b _ _ I-{kind}", "c _ _ O")
    assert token_files.multiconer(path, "en") == [Tagged(("a", "b", "c"), ("B", "I", "O"), "en")]


def test_multiconer_hashes_are_words_unless_an_id_follows(tmp_path):
    path = write(tmp_path / "en_dev.conll", "# id 1", "# _ _ O", "#1 _ _ B-CW", "#id _ _ I-CW", "a\u00a0b _ _ O")
    assert token_files.multiconer(path, "en") == [Tagged(("#", "#1", "#id", "a\u00a0b"), ("O", "B", "I", "O"), "en")]


def test_multiconer_stray_inside_tags_stay(tmp_path):
    path = write(tmp_path / "en_dev.conll", "a _ _ O", "b _ _ I-PER", "c _ _ B-LOC", "d _ _ I-CW", "", "e _ _ I-GRP")
    assert [sentence.tags for sentence in token_files.multiconer(path, "en")] == [("O", "I", "B", "I"), ("I",)]


def test_multiconer_sentences_with_an_empty_word_are_left_out_and_counted(tmp_path, capsys):
    path = write(tmp_path / "de_dev.conll", *ADA, "# id 2", "a _ _ O", " _ _ O", "", "\u00a0 _ _ O")
    read = token_files.multiconer(path, "de")
    assert read == [ADA_READ] and read.left_out == {token_files.WORD_REASON: 2}
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1 and str(path) in said and "2 of 3 rows" in said and f"first row {len(ADA) + 2}\n" in said
    )


@pytest.mark.parametrize(
    "line, words",
    [
        ("rom _ O", ("3 columns, not 4", "MultiCoNER v1")),
        ("rom _ _ B-LOC ", ("5 columns, not 4",)),
        ("rom  _ _ O", ("5 columns, not 4",)),
        ("rom\t_\t_\tO", ("1 columns, not 4",)),
        ("rom", ("1 columns, not 4",)),
        ("# newdoc", ("2 columns, not 4",)),
        ("rom NN _ O", ("'NN _' between word and tag, not '_ _'",)),
        ("rom _ NN O", ("'_ NN' between word and tag",)),
        ("rom _ _ _", ("tag '_' is not O, B-TYPE or I-TYPE", "tags are released")),
        ("rom _ _ ", ("tag '' is not",)),
        ("rom _ _ B", ("tag 'B' is not",)),
        ("rom _ _ B-", ("tag 'B-' is not",)),
        ("rom _ _ B-/", ("tag 'B-/' is not",)),
        ("rom _ _ B-\u00a0LOC", ("is not O, B-TYPE",)),
        ("rom _ _ E-LOC", ("tag 'E-LOC' is not",)),
        ("rom _ _ o", ("tag 'o' is not",)),
        ("rom _ _ O-LOC", ("tag 'O-LOC' is not",)),
    ],
)
def test_damaged_multiconer_is_refused(tmp_path, line, words):
    path = write(tmp_path / "de_dev.conll", *ADA, "# id 2", line, "bern _ _ B-LOC")
    refused(lambda: token_files.multiconer(path, "de"), "de_dev.conll, row 8: ", *words)


# AQMAR ----------------------------------------------------------------------------------------------------------------

MAPPED = {
    "O": ("O", "OO", "OOO", "o"),
    "B": ("B-PER", "B-LOC", "B-ORG", "B-MIS", "B-MIS0", "B-MIS3", "B-MISS1", "B-MISS", "B-MIS-1", "B-MIS1`", "b-per"),
    "I": ("I-PER", "I-LOC", "I-ORG", "I-MIS", "I-MIS2", "I-MIS12", "I--ORG", "I-mis", "i-Mis0", "I-PERS"),
}
UNCLEAR = ("IO", "OI", "B-ENGLISH", "B-SPANISH", "B", "I", "I-", "B-1", "MIS1", "BPER", "B_PER", "E-PER", "B-PERX", "0")


@pytest.mark.parametrize("tag", NER)
def test_aqmar_labels_that_are_clear(tmp_path, tag):
    path = write(tmp_path / "Lamp.txt", *(f"كلمة {label}" for label in MAPPED[tag]))
    read = token_files.aqmar(path)
    assert isinstance(read, Kept) and read.left_out == {}
    assert read == [Tagged(("كلمة",) * len(MAPPED[tag]), (tag,) * len(MAPPED[tag]), "ar")]


def test_aqmar_labels_that_are_unclear_are_left_out_and_counted(tmp_path, capsys):
    lines = [line for label in UNCLEAR for line in ("a O", f"b {label}", "c O", "")]
    path = write(tmp_path / "Lamp.txt", "d O", "", *lines, "e OO")
    read = token_files.aqmar(path)
    assert [sentence.words for sentence in read] == [("d",), ("e",)]
    assert read.left_out == {token_files.LABEL_REASON: len(UNCLEAR)}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(path) in said and "14 of 16 rows" in said and "first row 3\n" in said


def test_aqmar_blanks_line_ends_and_strange_rows(tmp_path, capsys):
    path = write(tmp_path / "Lamp.txt", " a  B-PER ", "b\tI-MIS0", "# O", "", " ", "c O", "d", "", "e f O", end="\r\n")
    read = token_files.aqmar(path, "fa")
    assert read == [Tagged(("a", "b", "#"), ("B", "I", "O"), "fa")]
    assert read.left_out == {token_files.COLUMNS_REASON: 2} and "2 of 3 rows" in capsys.readouterr().err
    write(path, "a O B-PER")
    refused(lambda: token_files.aqmar(path), "Lamp.txt", "no sentence can be used", "Damascus.txt")


def test_what_is_read_cannot_be_changed():
    assert len(set(UPOS)) == 17 and len(set(NER)) == 3
    with pytest.raises(FrozenInstanceError):
        ADA_READ.tags = ("O",)


# The real files -------------------------------------------------------------------------------------------------------


def sizes(read: Kept, language: str, tags: tuple[str, ...]) -> tuple[int, Counter]:
    """The numbers of sentences and of each tag; sentences are well formed and nothing is left out."""
    assert read.left_out == {}
    for sentence in read:
        assert len(sentence.words) == len(sentence.tags) > 0 and sentence.language == language
        assert set(sentence.tags) <= set(tags) and all(word.strip() for word in sentence.words)
    return len(read), Counter(tag for sentence in read for tag in sentence.tags)


@needs("ud")
@needs("ud_pud")
@pytest.mark.parametrize("name", UD_SIZES)
def test_real_treebanks(name, capsys):
    path = REAL / f"{name}.conllu"
    language, part = path.name[:2], path.stem.rpartition("-")[2]
    read = token_files.treebank(path.parent, {"dev": "validation"}.get(part, part))
    sentences, tags = sizes(read, language, UPOS)
    assert (sentences, tags.total()) == UD_SIZES[name] and not capsys.readouterr().err
    assert {"ADJ", "ADP", "ADV", "AUX", "DET", "NOUN", "NUM", "PRON", "PROPN", "PUNCT", "VERB"} <= set(tags)
    assert token_files.conllu(path, language) == read


@needs("ud")
@needs("ud_pud")
def test_every_real_treebank_file_is_counted():
    there = {str(path.relative_to(REAL).with_suffix("")) for path in REAL.glob("ud*/UD_*/*.conllu")}
    assert there == set(UD_SIZES)


@needs("multiconer_v1")
@pytest.mark.parametrize("name", MULTICONER_SIZES)
def test_real_multiconer(name, capsys):
    read = token_files.multiconer(REAL / "multiconer_v1" / f"{name}.conll", name[3:5].lower())
    sentences, tags = sizes(read, name[3:5].lower(), NER)
    assert (sentences, tags.total(), tags["B"], tags["I"]) == MULTICONER_SIZES[name]
    assert not capsys.readouterr().err


@needs("multiconer_v1")
def test_real_multiconer_has_the_word_hash():
    read = token_files.multiconer(REAL / "multiconer_v1" / "EN-English" / "en_train.conll", "en")
    assert sum(sentence.words.count("#") for sentence in read) == 30


@needs("aqmar")
@pytest.mark.parametrize("name", AQMAR_SIZES)
def test_real_aqmar_is_read_whole(name, capsys):
    sentences, tags = sizes(token_files.aqmar(REAL / "aqmar" / f"{name}.txt"), "ar", NER)
    assert (sentences, tags.total(), tags["B"], tags["I"]) == AQMAR_SIZES[name]
    assert not capsys.readouterr().err
