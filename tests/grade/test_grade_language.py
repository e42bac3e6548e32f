from functools import cache

import numpy as np
import pytest
from grade.corpora import XSTEST, dialogues, fitting_texts, rbr_gold, sums, xstest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from truing.grade import Language, coherence
from truing.grade.word_order import WordOrder, shipped
from truing.numerics import generator

STORY = (
    "The keeper of the lighthouse counts the gulls every morning and writes the number down in a book that his "
    "father gave him. When the fog comes in he rings the bell, and the fishermen know that they are near the shore."
)


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        "You can mend the kite with glue and a new spar.\n\n1. Take off the tail.\n2. Glue the spar.\n3. Wait an hour.",
        "To print a line you can use the following code:\n```python\nfor i in range(3):\n    print(i)\n```",
        "If you have 3 apples and you get 4 more, then you have 3 + 4 = 7 apples in all.",
    ],
)
def test_prose_lists_code_and_sums_are_english(text: str) -> None:
    assert coherence(text).language is Language.english


@pytest.mark.parametrize("text", ["Yes.", "Paris", "B", "18", "x = 3/4", "def f(x):\n    return x + 1;\n"])
def test_a_word_a_number_and_bare_code_are_too_short_to_tell(text: str) -> None:
    assert coherence(text).language is Language.unclear


@pytest.mark.parametrize(
    "text",
    [
        "Der Leuchtturm steht auf dem Felsen, und der Wärter zählt die Möwen, die nicht weit von ihm sind.",
        "Le phare est sur le rocher et le gardien compte les oiseaux dans la nuit, qui ne sont pas loin de lui.",
        "El faro está en la roca y el guardián cuenta los pájaros que no se van de la isla por la noche.",
        "Маяк стоит на скале, и смотритель каждое утро считает чаек.",
        "灯塔守护者每天早上都会数海鸥。",
        "등대지기는 매일 아침 갈매기를 센다.",
        "يعد حارس المنارة طيور النورس كل صباح.",
    ],
)
def test_other_languages_are_recognised_and_left_to_others(text: str) -> None:
    assert coherence(text).language is Language.other


@pytest.mark.parametrize(
    "text",
    [
        "the the the the the the",
        "!!!!!!!!!!!!",
        "lalalala" * 50 + "aaaaaaaaaaaaaaaa" * 50,
        "no way " * 20,
        "\x00\x01\x02 a\x03",
        "��� �� a",
    ],
)
def test_loops_and_strange_characters_are_gibberish(text: str) -> None:
    assert coherence(text).language is Language.none


def test_white_space_alone_is_empty() -> None:
    assert coherence(" \n\t" * 1000).language is Language.empty


def test_a_looped_sentence_is_still_a_sentence() -> None:
    assert (
        coherence("I cannot provide information on how to steal a lamp. " * 20).language is Language.english
    )


def test_a_text_that_collapses_half_way_is_gibberish() -> None:
    words = STORY.split()
    shuffled = [words[i] for i in generator(0).permutation(len(words))]
    assert coherence(f"{STORY} {' '.join(shuffled * 2)}").language is Language.none


def test_a_mixture_of_scripts_is_gibberish() -> None:
    assert coherence("маяк 灯塔 منارة φάρος 등대 मीनार ประภาคาร մայակ").language is Language.none


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert coherence(text).language in Language


def test_the_shipped_table_is_what_its_sources_give() -> None:
    fitted = WordOrder.fit(fitting_texts(), words=500)
    assert fitted.words == shipped().words
    assert np.array_equal(fitted.steps, shipped().steps)


def test_real_answers_are_rarely_taken_for_gibberish() -> None:
    answers = {
        "xstest": ([row["completion"] for model in XSTEST for row in xstest(model)], 0),
        "rbr_gold": ([row["completion"][-1]["content"] for row in rbr_gold()], 0),
        "hh_rlhf, other half": ([turns[-1] for turns in dialogues(1)], 6),
        "gsm8k, other half": (sums(1), 0),
    }
    for name, (texts, allowed) in answers.items():
        wrong = sum(coherence(text).language is Language.none for text in texts)
        print(f"{name}: {wrong} of {len(texts)} taken for gibberish")
        assert wrong <= allowed, name


@cache
def _byte_level(size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([turn for turns in dialogues(0) for turn in turns], trainer)
    return tokenizer


@pytest.mark.parametrize("size", [2000, 8000])
def test_random_tokens_are_gibberish(size: int) -> None:
    tokenizer, rng = _byte_level(size), generator(size)
    drawn = {
        ids: [tokenizer.decode(rng.integers(0, size, ids).tolist()) for _ in range(200)]
        for ids in (20, 40, 100, 500)
    }
    whole = [
        i for i in range(size) if tokenizer.decode([i])[:1] == " " and tokenizer.decode([i])[1:].isalpha()
    ]
    salad = {
        n: [tokenizer.decode(rng.choice(whole, n).tolist()) for _ in range(200)] for n in (20, 40, 100, 500)
    }
    for n, floor in ((20, 0.5), (40, 0.9), (100, 0.97), (500, 0.98)):
        for kind, texts in (("tokens", drawn[n]), ("words", salad[n])):
            read = [coherence(text).language for text in texts]
            caught = read.count(Language.none) / len(read)
            print(
                f"{n} random {kind} of {size}: {caught:.3f} gibberish, {read.count(Language.english)} taken for English"
            )
            assert caught >= floor
            assert read.count(Language.english) <= 2


def test_shuffled_answers_are_gibberish() -> None:
    rng = generator(1)
    words = [turns[-1].split() for turns in dialogues(1)] + [
        row["completion"].split() for row in xstest("llama2new")
    ]
    for n, floor, let_through in ((10, 0.6, 0.1), (20, 0.8, 0.03), (40, 0.97, 0.01), (100, 0.98, 0.01)):
        texts = [" ".join(rng.permutation(one[:n])) for one in words if len(one) >= n][:400]
        read = [coherence(text).language for text in texts]
        caught, english = read.count(Language.none) / len(read), read.count(Language.english) / len(read)
        print(f"{n} shuffled words: {caught:.3f} gibberish, {english:.3f} taken for English")
        assert caught >= floor
        assert english <= let_through


@pytest.mark.parametrize("sampled", [False, True])
def test_what_random_weights_write_is_never_english(sampled: bool) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = LlamaConfig(
            vocab_size=2000, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4
        )
        model = LlamaForCausalLM(config).eval()
        prompts = torch.randint(0, 2000, (20, 8))
        written = model.generate(
            prompts, max_new_tokens=64, do_sample=sampled, pad_token_id=0, eos_token_id=None
        )
    tokenizer = _byte_level(2000)
    read = [coherence(tokenizer.decode(ids)).language for ids in written[:, 8:].tolist()]
    assert Language.english not in read
    assert read.count(Language.none) >= 18
