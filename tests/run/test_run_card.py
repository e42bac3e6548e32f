import re

import pytest
import yaml

from truing.run import Card, SafetyRow, model_card, with_safety

SECTIONS = [
    "What it is",
    "Method",
    "Data",
    "Safety evaluation",
    "Reward definition",
    "KL spent",
    "Reward hacking",
    "Known failure modes",
    "What it was not tested for",
    "How to reproduce",
]


def front_matter(text: str) -> dict[str, object]:
    data = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(data, dict)
    return data


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text, flags=re.M)[1 + SECTIONS.index(title)].partition("\n")[2].strip()


def test_whatever_was_not_measured_is_said_and_never_left_out() -> None:
    text = model_card(Card("mended", "org/base"))
    assert re.findall(r"^## (.*)$", text, flags=re.M) == SECTIONS
    for title in SECTIONS:
        assert "not measured" in section(text, title)


def test_what_is_known_stands_in_its_section() -> None:
    card = Card(
        "mended",
        "org/base",
        method="RBR",
        paper="Mu et al. 2024",
        safety=(SafetyRow("safety", "61 %", "93 %", "pass"), SafetyRow("privacy", model="7 | 8\n%")),
        kl_spent=0.0,
        failures=("long prompts", "poetry"),
        reproduce=("truing align rbr org/base",),
    )
    text = model_card(card)
    assert section(text, "Method") == "RBR\n\nPublished in: Mu et al. 2024"
    assert section(text, "KL spent") == "0 nats per token, KL(model || base)"
    both = model_card(Card("m", "b", kl_spent=0.25, kl_per_completion=12.0, hacking="Cannot tell."))
    assert section(both, "KL spent") == "0.25 nats per token, 12 nats per completion, KL(model || base)"
    assert section(both, "Reward hacking") == "Cannot tell."
    assert section(text, "Known failure modes") == "- long prompts\n- poetry"
    assert section(text, "How to reproduce") == "truing align rbr org/base"
    assert "| safety | 61 % | 93 % | pass |" in section(text, "Safety evaluation")
    assert r"| privacy | not measured | 7 \| 8 % | not measured |" in section(text, "Safety evaluation")


def test_a_later_evaluation_takes_its_place_and_leaves_the_rest() -> None:
    card, rows = (
        Card("m", "b", method="DPO", failures=("poetry",)),
        (SafetyRow("safety", "61 %", "93 %", "pass"),),
    )
    once = with_safety(model_card(card), rows)
    assert once == model_card(Card("m", "b", method="DPO", failures=("poetry",), safety=rows))
    assert with_safety(once, ()) == model_card(card) and with_safety("# mine\n", rows) == "# mine\n"


def test_the_hub_reads_the_front_matter() -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(model_card(Card("mended", "org/base", datasets=("org/data",), license="apache-2.0")))
    assert card.data.base_model == "org/base" and card.data.datasets == ["org/data"]
    assert card.data.library_name == "transformers" and card.data.license == "apache-2.0"


@pytest.mark.parametrize("name", ["a: b\n---\n", "'\"{}[]#&*!|>%@`", "\0\ud800\u2028", "null", "1.0"])
def test_hostile_names_stay_values_of_the_front_matter(name: str) -> None:
    text = model_card(Card("mended", name, datasets=(name,)))
    head = text[4 : text.index("\n---\n\n# mended")]
    assert yaml.safe_load(head) == front_matter(model_card(Card("m", "b"))) | {
        "base_model": name,
        "datasets": [name],
    }
