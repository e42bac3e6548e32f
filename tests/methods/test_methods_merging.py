"""An adapter merged into its base model: the same outputs from an ordinary folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model.tiny import checkpoint
from safetensors.torch import load_file, save_file

from truing.cli.app import main
from truing.methods import SFTConfig, finetune, merge_adapter
from truing.methods.merging import merge_layers
from truing.model import load_local
from truing.types import InputError, Message, Role

ROWS = [
    (Message(Role.user, f"{n}: who has the gull?"), Message(Role.assistant, "Ada has the gull."))
    for n in range(4)
]
CONFIG = SFTConfig(learning_rate=3e-2, tokens_per_step=64, passes=4, lora_rank=4)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merging") / "adapter"
    return finetune(str(checkpoint("llama")), ROWS, out, CONFIG, what="a test", data="rows").folder


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_a_merged_model_computes_what_the_adapter_does_and_needs_no_peft(
    tmp_path: Path, adapter: Path, family: str
) -> None:
    from transformers import AutoModelForCausalLM

    base = str(checkpoint(family))
    if family != "llama":
        adapter = finetune(base, ROWS, tmp_path / "adapter", CONFIG, what="a test", data="rows").folder
    made = merge_adapter(str(adapter), tmp_path / "whole")
    out = made.folder
    assert made.lost == 0 and not made.warning and made.stored == "float32"
    assert not (out / "adapter_config.json").exists() and "merged" in (out / "README.md").read_text()
    ids = torch.tensor([[5, 9, 200, 17]])
    with torch.no_grad():
        whole = AutoModelForCausalLM.from_pretrained(out, dtype="auto")(ids).logits.float()
        tuned = load_local(adapter).net(ids).logits.float()
        before = load_local(base).net(ids).logits.float()
    assert torch.allclose(whole, tuned, atol=1e-4) and not torch.allclose(whole, before, atol=1e-2)


def test_what_is_merged_can_be_tuned_further_and_the_adapter_alone_says_how(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="truing align merge --model"):
        finetune(str(adapter), ROWS, tmp_path / "no", SFTConfig(), what="a test", data="rows")
    assert main(["align", "merge", "--model", str(adapter), "--out", str(tmp_path / "whole"), "--json"]) == 0
    assert str(tmp_path / "whole") in capsys.readouterr().out.splitlines()[-1]
    finetune(str(tmp_path / "whole"), ROWS, tmp_path / "further", SFTConfig(), what="a test", data="rows")


def test_what_rounding_takes_of_the_change_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM

    base = tmp_path / "base"
    AutoModelForCausalLM.from_pretrained(checkpoint("llama")).to(torch.bfloat16).save_pretrained(base)
    for file in checkpoint("llama").glob("*token*"):
        (base / file.name).write_bytes(file.read_bytes())
    (base / "chat_template.jinja").write_bytes((checkpoint("llama") / "chat_template.jinja").read_bytes())
    gentle, adapter = replace(CONFIG, learning_rate=1e-5), tmp_path / "adapter"
    finetune(str(base), ROWS, adapter, gentle, what="a test", data="rows")
    argv = ["align", "merge", "--model", str(adapter), "--out", str(tmp_path / "whole"), "--json"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    told = json.loads(said.splitlines()[-1])
    change = rounding = 0.0
    exact = load_local(adapter, dtype="float32").net
    merge_layers(exact, str(adapter), torch.float32)
    before, after, wide = (
        dict(net.state_dict())
        for net in (
            load_local(base, dtype="float32").net,
            load_local(tmp_path / "whole", dtype="float32").net,
            exact,
        )
    )
    for name, weight in wide.items():
        change += float((weight - before[name]).double().square().sum())
        rounding += float((after[name] - weight).double().square().sum())
    assert told["lost"] == pytest.approx((rounding / change) ** 0.5, rel=1e-3) and told["lost"] > 0.1
    warned = f"{told['lost']:.0%} of the change is lost to rounding in bfloat16"
    assert warned in said and warned in (tmp_path / "whole" / "README.md").read_text()


def test_a_whole_model_and_a_broken_adapter_are_one_sentence(tmp_path: Path, adapter: Path) -> None:
    with pytest.raises(InputError, match="is a whole model already"):
        merge_adapter(str(checkpoint("llama")), tmp_path / "out")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in adapter.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in weights if "lora_B" in name)
    weights[name][0, 0] = torch.nan
    save_file(weights, broken / "adapter_model.safetensors")
    with pytest.raises(InputError, match="no finite number"):
        merge_adapter(str(broken), tmp_path / "out")
    assert not (tmp_path / "out").exists()
