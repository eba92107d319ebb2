"""Encoders, heads and checkpoints: what is frozen, what is loaded, and what is said when a file is not as it was."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models_for_tests import bert_folder, classifier, distilbert_folder, encoded, labelled, mbert_folder

from xltlib import hub, models, training
from xltlib.errors import InputError
from xltlib.models import CHECKPOINTS, FOLDER, Classifier, HeadSettings, fingerprint, load_encoder, load_tokenizer
from xltlib.training import Row, Settings, as_data

TEXTS, LABELS = labelled()


@pytest.fixture
def tiny_bert():
    return bert_folder()


@pytest.fixture
def tiny_distilbert():
    return distilbert_folder()


def padded(folder, texts):
    return load_tokenizer(str(folder))(
        texts, padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False
    )


def ids_and_mask(rows):
    return {"ids": rows["input_ids"], "mask": rows["attention_mask"]}


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_frozen_features_give_what_the_whole_model_gives(tiny_bert, layers, pooling):
    model = classifier(tiny_bert, frozen_layers=layers, pooling=pooling)
    features = encoded(model, tiny_bert, TEXTS)
    assert features.states.dtype == torch.float16
    rows = padded(tiny_bert, TEXTS)
    with torch.no_grad():
        hidden = load_encoder(str(tiny_bert))(**rows).last_hidden_state  # Hugging Face's own forward pass
        weights = rows["attention_mask"][..., None]
        pooled = hidden[:, 0] if pooling == "cls" else (hidden * weights).sum(1) / weights.sum(1)
        probabilities = model.head(pooled).softmax(-1)
        ours = model.embed(model.lower(**ids_and_mask(rows)), rows["attention_mask"])
    torch.testing.assert_close(ours, pooled, rtol=0, atol=1e-5)
    np.testing.assert_allclose(training.predict(model, features), probabilities, atol=1e-3)  # features are fp16


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_frozen_features_give_exactly_the_predictions_of_the_whole_model(tiny_bert, layers):
    model, whole = classifier(tiny_bert, frozen_layers=layers), classifier(tiny_bert)
    pooled = training.embeddings(whole, encoded(whole, tiny_bert, TEXTS))
    for head in (
        model.head,
        whole.head,
    ):  # a head that tells the texts apart: an untrained one gives all the same class
        head.weight.data /= pooled.std(0)
        head.bias.data = -head.weight.data @ pooled.mean(0)
    a, b = (training.predict(m, encoded(m, tiny_bert, TEXTS)).argmax(1) for m in (model, whole))
    assert (a == b).all() and len(set(a)) == 5


def test_what_is_trained(tiny_bert):
    model = classifier(tiny_bert, frozen_layers=2)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(name.startswith(("encoder.encoder.layer.2.", "head.")) for name in trained) and len(trained) == 18
    assert all(p.requires_grad for p in classifier(tiny_bert).parameters())


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"pooling": "max"}, "'max'.*mean, cls"),
        ({"frozen_layers": 4}, "4: use 0 to 3"),
        ({"frozen_layers": -1}, "-1: use 0 to 3"),
    ],
)
def test_settings_that_the_encoder_cannot_have(tiny_bert, settings, names):
    with pytest.raises(InputError, match=names):
        classifier(tiny_bert, **settings)


PAIRS = [(text[:50], other[:20]) for text, other in zip(TEXTS[:9], TEXTS[9:18], strict=True)]


@pytest.mark.parametrize("frozen", [0, 2])
def test_the_second_text_of_a_pair_has_its_own_token_type(frozen):
    """As Hugging Face's own tokenizer and model have it."""
    folder = mbert_folder()
    tokenizer, whole = load_tokenizer(str(folder)), load_encoder(str(folder))
    rows = tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")
    assert rows["token_type_ids"].sum(1).min() > 3
    typed = classifier(folder, frozen_layers=frozen, separator=tokenizer.sep_token_id, pooling="cls")
    ids, mask = rows["input_ids"], rows["attention_mask"]
    assert torch.equal(typed._types(ids)["token_type_ids"] * mask, rows["token_type_ids"])
    with torch.no_grad():
        found = typed.embed(typed.lower(ids, mask) if frozen else ids, mask)
        torch.testing.assert_close(found, whole(**rows).last_hidden_state[:, 0], atol=1e-5, rtol=1e-4)
        untyped = classifier(folder, pooling="cls").embed(ids, mask)
    assert (found - untyped).abs().amax(1).min() > 1e-3


def test_one_text_is_of_one_type():
    folder = mbert_folder()
    separator = load_tokenizer(str(folder)).sep_token_id
    models_of = [classifier(folder, separator=found) for found in (None, separator)]
    plain, typed = (training.embeddings(model, encoded(model, folder, TEXTS)) for model in models_of)
    torch.testing.assert_close(plain, typed, atol=1e-6, rtol=1e-5)


def test_a_checkpoint_like_multilingual_bert_loads_from_hub_layout():
    model = classifier(mbert_folder())
    assert type(model.encoder).__name__ == "BertModel" and model.encoder.pooler is None
    config = model.encoder.config
    assert config.hidden_dropout_prob == 0.1 and config.type_vocab_size == 2
    assert config.architectures == ["BertForMaskedLM"]  # the head of pretraining is left behind


def test_a_checkpoint_of_the_papers_class_in_hub_layout_trains(tiny_distilbert):
    model = classifier(tiny_distilbert, frozen_layers=0, pooling="cls")
    assert type(model.encoder).__name__ == "DistilBertModel"
    assert type(load_tokenizer(str(tiny_distilbert))).__name__ in ("BertTokenizerFast", "DistilBertTokenizerFast")
    rows = encoded(model, tiny_distilbert, TEXTS[:8])
    assert rows.states is None and rows.lengths[0] > 10
    data = as_data([(Row(t, y, "en"),) for t, y in zip(TEXTS[:8], LABELS, strict=False)], rows)
    before = {name: p.clone() for name, p in model.named_parameters()}
    losses = training.train(model, data, Settings(batch=8, steps=1, learning_rate=1e-3), seed=0)
    assert len(losses) == 1 and np.isfinite(losses).all()
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters() if "k_lin.bias" not in name)


def test_frozen_layers_need_a_bert_like_encoder(tiny_distilbert):
    with pytest.raises(InputError, match="frozen_layers needs a BERT-like encoder, not 'distilbert': set it to 0"):
        Classifier(load_encoder(str(tiny_distilbert)), HeadSettings(frozen_layers=1))


# Checkpoints ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tiny_bert, tmp_path):
    """A checkpoint with its manifest, in a folder of checkpoints."""
    shutil.copytree(tiny_bert, tmp_path / "mini-mbert")
    models.write_manifest(tmp_path / "mini-mbert", seed=1)
    return tmp_path / "mini-mbert"


def test_a_whole_checkpoint_passes(shipped):
    assert models.verify_checkpoint("mini-mbert", shipped.parent) == shipped
    manifest = json.loads((shipped / "checkpoint.json").read_text())
    assert manifest["seed"] == 1 and set(manifest["sha256"]) >= {"model.safetensors", "config.json", "tokenizer.json"}


def one_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("file", "damage", "names"),
    [
        ("model.safetensors", one_byte, "model.safetensors: its sha256 is not the one"),
        ("tokenizer.json", one_byte, "tokenizer.json: its sha256 is not the one"),
        ("config.json", lambda path: path.unlink(), "config.json: missing"),
        ("checkpoint.json", lambda path: path.unlink(), "no such checkpoint"),
        ("checkpoint.json", lambda path: path.write_text(path.read_text()[:100]), "checkpoint.json: truncated"),
        ("checkpoint.json", lambda path: path.write_text('{"sha256": 3}'), "checkpoint.json: truncated"),
    ],
)
def test_a_changed_checkpoint_is_one_line_with_the_remedy(shipped, file, damage, names):
    damage(shipped / file)
    with pytest.raises(InputError, match=names) as error:
        models.verify_checkpoint("mini-mbert", shipped.parent)
    assert "\n" not in str(error.value) and "xlt models build mini-mbert" in str(error.value)


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_an_unknown_checkpoint_is_said_at_once(socket_disabled, tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        models.verify_checkpoint("mini-nothing")
    for load in (load_encoder, load_tokenizer):
        with pytest.raises(InputError, match="mini-nothing") as error:
            load("mini-nothing")
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="not a checkpoint") as error:
        load_encoder(str(tmp_path))
    assert "\n" not in str(error.value)


def test_truncated_weights_are_one_line(tiny_bert, tmp_path):
    shutil.copytree(tiny_bert, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a checkpoint"):
        load_encoder(str(tmp_path / "cut"))


def test_fingerprints_name_the_weights():
    for name in CHECKPOINTS:
        if (FOLDER / name / "checkpoint.json").exists():
            assert fingerprint(name).startswith(f"{name}@") and len(fingerprint(name)) == len(name) + 9
    assert fingerprint("owner/name@0123abc") == "owner/name@0123abc"
    assert len({fingerprint(name) for name in CHECKPOINTS if (FOLDER / name).exists()}) == sum(
        (FOLDER / name).exists() for name in CHECKPOINTS
    )


@pytest.mark.parametrize("frozen", [0, 2])
def test_bfloat16_gives_nearly_the_same_and_float32_outputs(tiny_bert, frozen):
    """Only matrix products lose digits (8 bits of mantissa: about 1 %)."""
    tokenizer = load_tokenizer(str(tiny_bert))
    texts, _ = labelled(12)
    found = []
    for fast in (False, True):
        torch.manual_seed(0)
        head = HeadSettings(frozen_layers=frozen, bfloat16=fast)
        model = Classifier(load_encoder(str(tiny_bert), "eager"), head).eval()
        inputs = training.encode(texts, tokenizer, model)
        logits, pooled = model(*inputs.batch(range(len(texts))))
        logits.sum().backward()
        assert logits.dtype == pooled.dtype == torch.float32
        assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}
        found.append((logits.detach(), pooled.detach()))
    for exact, fast in zip(*found, strict=True):
        assert not torch.equal(exact, fast)
        assert torch.allclose(exact, fast, atol=0.05 * float(exact.abs().max()))


def test_a_pooler_of_the_checkpoint_is_kept_and_an_encoder_without_one_refused(tmp_path, tiny_bert):
    from transformers import AutoModel

    whole = AutoModel.from_pretrained(tiny_bert, add_pooling_layer=True)
    whole.save_pretrained(tmp_path, safe_serialization=True)
    encoder = load_encoder(str(tmp_path), pooler=True)
    torch.testing.assert_close(encoder.pooler.dense.weight, whole.pooler.dense.weight)
    with pytest.raises(InputError, match="needs the encoder's pooler"):
        Classifier(load_encoder(str(tmp_path)), HeadSettings(pooler=True))


def test_weights_in_several_files_are_complete_when_every_file_is_there(tmp_path):
    index = "model.safetensors.index.json"
    wanted = ("model.safetensors", index)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    assert not hub.complete(tmp_path, ("tokenizer.json",), wanted)
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (tmp_path / index).write_text(json.dumps({"weight_map": {"a": parts[0], "b": parts[1], "c": parts[1]}}))
    for part in parts:
        assert not hub.complete(tmp_path, ("tokenizer.json",), wanted)
        (tmp_path / part).write_bytes(b"")
    assert hub.complete(tmp_path, ("tokenizer.json",), wanted)


def test_weights_in_several_files_are_downloaded_part_by_part(tmp_path, monkeypatch):
    import huggingface_hub

    asked = {}
    names = ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "pytorch_model.bin"]
    info = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *args, **options: info)

    def download(repository, revision, local_files_only=False, **options):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not here")
        asked.update(options)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    hub.hub_folder("a/b", "c0ffee", ("tokenizer.json",), ("model.safetensors", f"model{hub.INDEX}"))
    assert {"model.safetensors.index.json", hub.SHARDS} <= set(asked["allow_patterns"])
    assert "model.safetensors" not in asked["allow_patterns"] and not any("bin" in n for n in asked["allow_patterns"])
