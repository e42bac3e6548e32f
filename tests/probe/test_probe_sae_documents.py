"""From documents to an autoencoder on disk, by the command line."""

import json
from shutil import copytree

import pytest
import torch
from model.tiny import checkpoint

from truing.cli import main
from truing.data import write_jsonl
from truing.model import Point, Site, load_local
from truing.numerics import generator
from truing.probe import DocumentsConfig, load_sae, measure_sae, read_documents
from truing.types import InputError

SENTENCE = "The lighthouse keeper of Marrow Point counts {} gulls and writes the number {} down."


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    file = tmp_path_factory.mktemp("documents") / "documents.jsonl"
    talk = [{"role": "user", "content": "How many gulls?"}, {"role": "assistant", "content": "Twelve."}]
    texts = [{"text": SENTENCE.format(i, i * i)} for i in range(60)]
    write_jsonl(file, [*texts, {"messages": talk}])
    return file


@pytest.fixture(scope="module")
def trained(documents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sae")
    words = [
        "probe",
        "sae",
        str(checkpoint("llama")),
        str(documents),
        "--layer",
        "1",
        "--width",
        "48",
        "--k",
        "4",
    ]
    words += ["--batch", "64", "--passes", "3", "--learning-rate", "0.01", "--out", str(folder), "--json"]
    assert main(words) == 0
    return folder


def test_the_report_tells_figures_of_documents_that_were_held_out_and_no_seconds(trained, documents, capsys):
    report = json.loads((trained / "report.json").read_text())
    assert (report["layer"], report["architecture"], report["config"]["width"]) == (1, "batchtopk", 48)
    assert (report["documents"], report["held_out"]) == (55, 6)
    unseen = report["unseen"]
    assert 0.3 < unseen["explained_variance"] < 1
    assert unseen["l0"] == pytest.approx(4, rel=0.5)
    assert 0 <= unseen["dead_share"] < 1
    assert unseen["tokens"] > 100
    assert report["steps"] == report["tokens"] // 64 == report["curve"][-1][0]
    assert "seconds" not in json.dumps(report)
    assert json.loads((trained / "timing.json").read_text())["cpu_seconds"] > 0


def test_the_figures_are_those_of_the_saved_autoencoder_on_those_documents(trained, documents):
    report, saved = json.loads((trained / "report.json").read_text()), load_sae(trained)
    assert saved.site == Site(1)
    assert saved.metadata["truing"] == report
    model = load_local(saved.model)
    everything = read_documents(documents, model.chat)
    unseen = [everything[i].ids for i in generator(0, "held out").permutation(len(everything))[-6:]]
    without = set(model.chat.tokenizer.all_special_ids)
    kept = [[at for at, token in enumerate(ids) if at and token not in without] for ids in unseen]
    x = model.capture(unseen, [Site(1)], kept)[Site(1)]
    found = measure_sae(saved.sae, x)
    assert found.tokens == report["unseen"]["tokens"]
    assert found.explained_variance == pytest.approx(report["unseen"]["explained_variance"], abs=1e-5)
    assert found.l0 == pytest.approx(report["unseen"]["l0"], abs=0.01)


def test_an_autoencoder_is_measured_by_the_command_line_on_the_model_that_it_names(
    trained, documents, capsys
):
    assert main(["probe", "measure-sae", str(trained), str(documents), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0.3 < told["explained_variance"] < 1
    assert main(["probe", "measure-sae", str(trained), str(documents), "--layer", "7"]) == 3
    assert "no layer 7; the model has the layers 0 to 1" in capsys.readouterr().err


def test_an_autoencoder_of_a_site_that_is_not_known_is_not_measured_at_another(
    trained, documents, tmp_path, capsys
):
    copytree(trained, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "cfg.json").read_text())
    config["metadata"]["hook_name"] = "blocks.1.attn.hook_z"
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    assert main(["probe", "measure-sae", str(tmp_path), str(documents), "--layer", "1"]) == 3
    assert "is of blocks.1.attn.hook_z, which is no site that is known here" in capsys.readouterr().err


@pytest.mark.parametrize(("point", "special"), [("attention", False), ("mlp", True)])
def test_the_site_and_the_tokens_of_the_training_are_measured_also_where_the_layer_is_given(
    point, special, documents, tmp_path, capsys
):
    words = ["probe", "sae", str(checkpoint("llama")), str(documents), "--layer", "1", "--point", point]
    words += ["--width", "48", "--k", "4", "--batch", "64", "--passes", "3", "--learning-rate", "0.01"]
    words += ["--first", "0", "--special"] if special else []
    assert main([*words, "--out", str(tmp_path)]) == 0
    asked = ["probe", "measure-sae", str(tmp_path), str(documents), "--json"]
    told = []
    for more in ([], ["--layer", "1"], ["--layer", "0"], ["--first", "2"]):
        assert main([*asked, *more]) == 0
        told.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert told[0] == told[1] and told[0]["explained_variance"] > 0.3 > told[2]["explained_variance"]
    saved, model = load_sae(tmp_path).sae, load_local(checkpoint("llama"))
    ids, ends = [one.ids for one in read_documents(documents, model.chat)], model.chat.tokenizer
    without = set() if special else set(ends.all_special_ids)
    kept = [[at for at, t in enumerate(one) if (at or special) and t not in without] for one in ids]
    x = model.capture(ids, [Site(1, Point(point))], kept)[Site(1, Point(point))]
    assert told[0]["tokens"] == len(x) > told[3]["tokens"]
    assert told[0]["explained_variance"] == pytest.approx(measure_sae(saved, x).explained_variance, abs=1e-5)


def test_a_single_token_to_measure_on_is_told_before_anything_is_trained(
    documents, trained, tmp_path, capsys
):
    talk = [{"role": "user", "content": "How many gulls?"}, {"role": "assistant", "content": "Twelve."}]
    write_jsonl(tmp_path / "few.jsonl", [{"messages": talk}] * 10)
    words = ["probe", "sae", str(checkpoint("llama")), str(tmp_path / "few.jsonl"), "--tokens", "starts"]
    words += ["--layer", "1", "--width", "8", "--k", "2", "--batch", "4", "--out", str(tmp_path / "out")]
    assert main(words) == 3 and "one token counts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    asked = ["probe", "measure-sae", str(trained), str(tmp_path / "few.jsonl"), "--tokens", "starts"]
    assert main(asked) == 3
    assert "the activations of the 10 tokens to measure on do not differ" in capsys.readouterr().err


def test_figures_are_those_of_loops_over_the_latents(trained):
    saved, x = load_sae(trained).sae, torch.randn(300, 32, generator=torch.Generator().manual_seed(0)) * 3
    latents, rebuilt = saved.encode(x), saved(x)
    found = measure_sae(saved, x)
    lost = float((x - rebuilt).square().sum() / (x - x.mean(0)).square().sum())
    assert found.explained_variance == pytest.approx(1 - lost, abs=1e-5)
    assert found.l0 == pytest.approx(sum(float((row > 0).sum()) for row in latents) / 300)
    assert found.dead_share == pytest.approx(sum(not bool((latents[:, j] > 0).any()) for j in range(48)) / 48)
    with pytest.raises(ValueError, match="width 32, not 7"):
        measure_sae(saved, torch.zeros(3, 7))


def test_a_finished_run_repeated_writes_the_same_bytes(trained, documents):
    before = {f: (trained / f).read_bytes() for f in ("report.json", "cfg.json", "sae_weights.safetensors")}
    words = [
        "probe",
        "sae",
        str(checkpoint("llama")),
        str(documents),
        "--layer",
        "1",
        "--width",
        "48",
        "--k",
        "4",
    ]
    words += ["--batch", "64", "--passes", "3", "--learning-rate", "0.01", "--out", str(trained)]
    assert main(words) == 0
    assert {f: (trained / f).read_bytes() for f in before} == before


def test_texts_are_encoded_as_the_tokenizer_does_and_conversations_by_the_template(documents):
    chat = load_local(checkpoint("llama")).chat
    found = read_documents(documents, chat)
    assert list(found[0].ids) == chat.tokenizer(SENTENCE.format(0, 0))["input_ids"]
    assert "Twelve." in chat.decode(found[-1].ids)
    assert "<|im_start|>" in chat.tokenizer.decode(found[-1].ids)


def test_what_is_no_document_is_told_by_its_row(tmp_path):
    chat, file = load_local(checkpoint("llama")).chat, tmp_path / "rows.jsonl"
    write_jsonl(file, [{"text": "a"}, {"prompt": "b"}])
    with pytest.raises(InputError, match=r"rows\.jsonl, row 2: is no document"):
        read_documents(file, chat)
    file.write_text("")
    with pytest.raises(InputError, match="holds no document"):
        read_documents(file, chat)


def test_options_out_of_their_range_are_told(documents, tmp_path, capsys):
    with pytest.raises(InputError, match="held_out is a share"):
        DocumentsConfig(held_out=1.0)
    with pytest.raises(InputError, match="at least 1"):
        DocumentsConfig(batch=0)
    words = ["probe", "sae", str(checkpoint("llama")), str(documents), "--width", "8", "--out", str(tmp_path)]
    assert main([*words, "--layer", "5", "--k", "2"]) == 3
    assert "no layer 5; the model has the layers 0 to 1" in capsys.readouterr().err
    assert main([*words, "--layer", "1", "--k", "9"]) == 3
    assert "k lies in 1 to the width of 8, not 9" in capsys.readouterr().err
