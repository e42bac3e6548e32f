"""`load`: every kind of reference, what it keeps equal, and what it says when something is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from model.tiny import FAMILIES, checkpoint, make_checkpoint, make_config, make_tokenizer
from transformers import AutoModelForCausalLM

from truing.model import fingerprint_folder, load
from truing.model.loading import dtype_of
from truing.types import InputError, SamplingParams, ask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of one's own, to be damaged."""
    return Path(shutil.copytree(checkpoint("llama"), tmp_path / "llama"))


def logits(net: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return net(input_ids=torch.tensor([ids])).logits[0]


IDS = [5, 9, 40, 41, 300, 7, 8, 8, 20, 21, 22, 23]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_any_family_loads_to_the_weights_that_were_saved(family):
    model = load(checkpoint(family))
    reference = AutoModelForCausalLM.from_pretrained(checkpoint(family))
    assert torch.equal(logits(model.net, IDS), logits(reference, IDS))
    assert not model.net.training


def test_a_loaded_model_answers():
    (completion,) = load(checkpoint("qwen3", chat_template="qwen3"), thinking=False).sample(
        [ask("Hi", id="x")], SamplingParams(max_tokens=4), key=1
    )
    assert completion.error is None and completion.usage.completion_tokens >= 1


def test_end_ids_that_only_the_generation_config_names_count():
    place = checkpoint("llama")
    named = json.loads((place / "generation_config.json").read_text())["eos_token_id"]
    model = load(place)
    assert len(named) == 2 and model.chat.eos_ids == set(named)
    assert model.net.config.eos_token_id == model.chat.tokenizer.eos_token_id


def test_a_sharded_checkpoint_is_the_same_model(tmp_path):
    whole = load(checkpoint("llama"))
    whole.net.save_pretrained(tmp_path, max_shard_size="50KB")
    whole.chat.tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert torch.equal(logits(load(tmp_path).net, IDS), logits(whole.net, IDS))


def test_the_text_model_of_a_vision_wrapper_gives_the_wrappers_logits(tmp_path):
    tokenizer = make_tokenizer(chat_template="gemma")
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Gemma3Config(
        text_config=make_config("gemma3", tokenizer).to_dict(),
        vision_config={**vision, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
        image_token_index=5,
    )
    torch.manual_seed(0)
    wrapper = transformers.Gemma3ForConditionalGeneration(config).eval()
    wrapper.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load(tmp_path)
    assert type(model.net).__name__ == "Gemma3ForCausalLM"
    ids = [0, *range(20, 60)]
    assert torch.equal(logits(model.net, ids), logits(wrapper, ids))
    assert not any("vision" in name for name, _ in model.net.named_parameters())


# Adapters


def make_adapter(folder: Path, base: Path, **changes) -> Path:
    from peft import LoraConfig, get_peft_model

    net = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(1)
    options = {"r": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False, **changes}
    adapted = get_peft_model(net, LoraConfig(task_type="CAUSAL_LM", **options))
    adapted.save_pretrained(folder)
    return folder


def test_an_adapter_is_put_on_its_base_and_not_merged(tmp_path):
    from peft import PeftModel

    base = checkpoint("llama")
    adapter = make_adapter(tmp_path / "adapter", base)
    model = load(adapter)
    reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    assert torch.equal(logits(model.net, IDS), logits(reference, IDS))
    assert not torch.equal(logits(model.net, IDS), logits(load(base).net, IDS))
    assert any("lora" in name for name, _ in model.net.named_modules())
    assert model.fingerprint.adapter and model.fingerprint.weights == load(base).fingerprint.weights


def test_the_base_may_lie_beside_the_adapter(tmp_path):
    shutil.copytree(checkpoint("llama"), tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", tmp_path / "base")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="../base")
    assert load(adapter).fingerprint.adapter


def test_an_adapter_whose_base_is_gone_says_so(tmp_path):
    adapter = make_adapter(tmp_path / "adapter", checkpoint("llama"))
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="marrow/gone")
    with pytest.raises(InputError, match=r"base model 'marrow/gone' is no folder here.*HF_HUB_OFFLINE"):
        load(adapter)


def test_an_adapter_of_another_model_is_refused(tmp_path):
    adapter = make_adapter(tmp_path / "adapter", checkpoint("llama"))
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=str(checkpoint("gpt2")))
    with pytest.raises(InputError, match="does not fit its base model"):
        load(adapter)


def test_an_adapter_with_weights_missing_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    adapter = make_adapter(tmp_path / "adapter", checkpoint("llama"))
    weights = load_file(adapter / "adapter_model.safetensors")
    del weights[sorted(weights)[0]]
    save_file(weights, adapter / "adapter_model.safetensors")
    with pytest.raises(InputError, match="do not fit its base model"):
        load(adapter)


# Fingerprints


def test_equal_folders_have_equal_fingerprints_wherever_they_lie(folder):
    assert load(folder).fingerprint == load(checkpoint("llama")).fingerprint


def test_a_model_saved_again_keeps_its_fingerprint(tmp_path):
    first = load(checkpoint("qwen3"))
    first.net.save_pretrained(tmp_path)
    first.chat.tokenizer.save_pretrained(tmp_path)
    assert load(tmp_path).fingerprint == first.fingerprint


def test_whatever_decides_the_answers_decides_the_fingerprint(folder):
    base = load(checkpoint("llama")).fingerprint
    assert load(checkpoint("llama", seed=1)).fingerprint.weights != base.weights
    assert load(folder, dtype="bfloat16").fingerprint.dtype != base.dtype
    assert load(checkpoint("llama", chat_template=None)).fingerprint.template != base.template
    edit_json(folder / "config.json", rms_norm_eps=1e-3)
    assert load(folder).fingerprint.weights != base.weights


def test_weights_changed_in_place_are_hashed_again(folder):
    before = fingerprint_folder(folder)
    shutil.copy(checkpoint("llama", seed=1) / "model.safetensors", folder)
    assert fingerprint_folder(folder) != before


# Types and devices


def test_float16_and_emulated_bfloat16_become_float32_on_a_cpu(tmp_path, monkeypatch):
    for dtype in (torch.float16, torch.bfloat16):
        place = make_checkpoint(tmp_path / str(dtype), "llama", dtype=dtype)
        monkeypatch.setattr("truing.model.loading.computes_bfloat16", lambda _: False)
        assert load(place).net.dtype is torch.float32
    monkeypatch.setattr("truing.model.loading.computes_bfloat16", lambda _: True)
    assert load(place).net.dtype is torch.bfloat16
    assert load(place, dtype="float32").fingerprint.dtype == "float32"
    assert dtype_of("auto", torch.float16, {"": "cuda:0"}) is torch.float16


def test_the_type_of_a_checkpoint_that_does_not_name_one_is_read_from_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("truing.model.loading.computes_bfloat16", lambda _: True)
    place = make_checkpoint(tmp_path, "llama", dtype=torch.bfloat16)
    edit_json(place / "config.json", dtype=None)
    assert load(place).net.dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"device": "warp"}, "no kind of device 'warp'"),
        ({"device": "cuda:7"}, "no device cuda:7"),
        ({"dtype": "int8"}, "no dtype 'int8'"),
        ({"quantize": "3bit"}, "no quantization '3bit'"),
        ({"revision": "main"}, "only a Hub model has revisions"),
        ({"thinking": True}, "no switch"),
    ],
)
def test_an_option_that_cannot_be_met_is_one_sentence(options, problem):
    with pytest.raises(InputError, match=problem):
        load(checkpoint("llama"), **options)


def test_four_bit_loading_without_bitsandbytes_says_what_to_install(monkeypatch):
    import truing.model.loading as loading

    real = loading.find_spec
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == "bitsandbytes" else real(name))
    with pytest.raises(InputError, match="install bitsandbytes"):
        load(checkpoint("llama"), quantize="4bit")


# What a user can get wrong


def edit_json(file: Path, **changes) -> None:
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, **changes}))


def cut(file: Path, keep: float = 0.5) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])


DAMAGE = {
    "holds no config.json": lambda f: (f / "config.json").unlink(),
    "config.json: is broken JSON": lambda f: cut(f / "config.json"),
    "holds no JSON object": lambda f: (f / "config.json").write_text("[]"),
    "holds no weights": lambda f: (f / "model.safetensors").unlink(),
    "model.safetensors: is broken or cut off": lambda f: cut(f / "model.safetensors"),
    "is broken or cut off": lambda f: (f / "model.safetensors").write_bytes(b""),
    "knows no architecture 'marrow'": lambda f: edit_json(f / "config.json", model_type="marrow"),
    "knows no MarrowForCausalLM": lambda f: edit_json(f / "config.json", architectures=["MarrowForCausalLM"]),
    "holds no tokenizer": lambda f: (f / "tokenizer.json").unlink(),
    "tokenizer cannot be loaded": lambda f: cut(f / "tokenizer.json"),
    "LlamaForSequenceClassification does not continue text": lambda f: edit_json(
        f / "config.json", architectures=["LlamaForSequenceClassification"]
    ),
    "the model cannot be loaded": lambda f: edit_json(f / "config.json", hidden_size=64),
    "weights are missing, the first is": lambda f: edit_json(f / "config.json", num_hidden_layers=3),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_a_damaged_folder_is_one_clear_sentence(folder, problem):
    DAMAGE[problem](folder)
    with pytest.raises(InputError, match=problem) as raised:
        load(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_shard_is_named(tmp_path):
    model = load(checkpoint("llama"))
    model.net.save_pretrained(tmp_path, max_shard_size="50KB")
    model.chat.tokenizer.save_pretrained(tmp_path)
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(InputError, match=f"1 of .* files of weights are missing, the first is {shard.name}"):
        load(tmp_path)


def test_an_encoder_is_refused(tmp_path):
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=100, **size)
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a BertForMaskedLM does not continue text"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        ("/nowhere/at/all", "no such folder"),
        ("marrow/lighthouse", "write hub:marrow/lighthouse"),
        ("", "names no model"),
        ("a\0b", "names no model"),
        ("kite:red", "nothing answers to kite: here; known are .*endpoint:"),
        (__file__, "this is a file; give"),
        ("hub:marrow/lighthouse", "not in the local cache, and HF_HUB_OFFLINE forbids"),
        ("hub:not a name", "is no Hub id"),
        ("endpoint:http://localhost:1/v1", "write endpoint:URL#MODEL"),
    ],
)
def test_a_reference_to_nothing_is_one_clear_sentence(ref, problem):
    with pytest.raises(InputError, match=problem):
        load(ref)


def test_an_endpoint_is_not_asked_for_what_only_its_server_decides():
    assert load("endpoint:http://localhost:1/v1#kite").model == "kite"
    with pytest.raises(InputError, match="an endpoint decides itself"):
        load("endpoint:http://localhost:1/v1#kite", dtype="float32")


# The Hub and registered schemes


def test_a_cached_hub_model_loads_offline(tmp_path, monkeypatch):
    from huggingface_hub import constants

    place = tmp_path / "models--marrow--kite"
    commit = "0" * 40
    shutil.copytree(checkpoint("llama"), place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert load("hub:marrow/kite").fingerprint == load(checkpoint("llama")).fingerprint
    with pytest.raises(InputError, match=r"marrow/kite \(revision v2\) is not in the local cache"):
        load("hub:marrow/kite", revision="v2")


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        ("GatedRepoError", "is gated on the Hub; accept its terms"),
        ("RepositoryNotFoundError", "no model marrow/kite on the Hub, or it is private"),
        ("RevisionNotFoundError", "has no revision"),
        ("HfHubHTTPError", "could not be fetched from the Hub"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_sentence(monkeypatch, error, problem):
    import httpx
    import huggingface_hub

    def refuse(*args, **kwargs):
        response = httpx.Response(403, request=httpx.Request("GET", "https://hub.example"))
        raise getattr(huggingface_hub.errors, error)("no\nlines", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(InputError, match=problem) as raised:
        load("hub:marrow/kite")
    assert "\n" not in str(raised.value)


def test_a_registered_scheme_gives_a_folder(monkeypatch):
    class Entry:
        name = "kite"

        def load(self):
            return checkpoint

    monkeypatch.setattr("truing.model.refs.entry_points", lambda group: [Entry()])
    assert load("kite:llama").fingerprint == load(checkpoint("llama")).fingerprint


# No traces left behind


def test_loading_changes_no_global_state(tmp_path):
    from transformers.utils import logging

    adapter = make_adapter(
        tmp_path, checkpoint("llama")
    )  # new layers are drawn at random before they are filled
    torch.manual_seed(3)
    before = (
        torch.get_rng_state(),
        torch.get_default_dtype(),
        logging.get_verbosity(),
        torch.is_grad_enabled(),
    )
    load(adapter, dtype="bfloat16")
    after = (
        torch.get_rng_state(),
        torch.get_default_dtype(),
        logging.get_verbosity(),
        torch.is_grad_enabled(),
    )
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_loading_writes_nothing_and_leaves_progress_bars_as_they_were(capfd):
    from transformers.utils import logging

    logging.enable_progress_bar()
    try:
        load(checkpoint("qwen3"))
        assert logging.is_progress_bar_enabled()
    finally:
        logging.disable_progress_bar()
    assert capfd.readouterr() == ("", "")


def test_the_door_loads_nothing_heavy():
    code = (
        "import sys, truing.model, truing.model.refs, truing.model.chat, truing.model.fingerprint, truing.model.memory;"
        "print([m for m in ('torch', 'transformers', 'huggingface_hub', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
