"""Numbers and words read from the next-token distribution, against sums made by hand with transformers."""

from functools import cache

import pytest
from grade.scripted import Scripted, close, ids_that, judge_model, lean, probabilities, shown

from truing.grade import Scored
from truing.grade.first_token import begins, first_integers, first_words, integer
from truing.model import LocalModel
from truing.types import Outcome, Stop, ask

QUESTIONS = [ask("How kind is the miller?", id="a"), ask("And the tinker, who sold three kettles?", id="b")]
KIND = {"kind": "Rate from 0 to 100 how kind the answer is."}


@cache
def writes_numbers_whole() -> LocalModel:
    return judge_model(marks=None, words=[str(n) for n in range(101)])


@cache
def writes_digits() -> LocalModel:
    """A byte-level tokenizer, as Qwen's and Gemma's: a token for each digit, none for longer numbers."""
    model = judge_model(marks=None)
    assert not ids_that(model, lambda text: text.strip().isdigit() and len(text.strip()) > 2)
    for question in QUESTIONS:
        digits = ids_that(model, lambda text: text.strip().isdigit())
        ids = model.chat.prompt_ids(question)
        one, zero = model.chat.tokenizer.convert_tokens_to_ids(["1", "0"])
        after = {(*ids, digit): dict.fromkeys(digits, 2.0) for digit in digits}
        after[*ids, one] = {zero: 6.0}
        lean(model, {ids: dict.fromkeys(digits, 4.0), **after, (*ids, one, zero): {zero: 6.0}})
    return model


def test_a_token_is_a_number_from_0_to_100_as_python_reads_it():
    assert [integer(text) for text in ("7", " 85", "100\n", "007", "101", "-1", "4.5", "²", "٣", "x", "")] == [
        7, 85, 100, 7, None, None, None, None, None, None, None,
    ]  # fmt: skip


def test_a_model_with_a_token_for_each_number_is_read_at_its_first_token():
    model = writes_numbers_whole()
    for question, read in zip(QUESTIONS, first_integers(model, QUESTIONS), strict=True):
        p = probabilities(model, model.chat.prompt_ids(question))
        expected = [0.0] * 101
        for id in ids_that(model, lambda text: text.strip().isdecimal() and int(text) <= 100):
            expected[int(model.chat.tokenizer.decode([id]))] += float(p[id])
        assert all(close(read.mass[n], expected[n]) for n in range(101))
        assert max(expected) > 0.001


def test_a_model_that_writes_digits_is_followed_to_the_end_of_the_number():
    """Every way to write each number, and what comes after it, by brute force."""
    model = writes_digits()
    text = {id: model.chat.tokenizer.decode([id]) for id in range(len(model.chat.tokenizer))}
    bare = [id for id in text if text[id].isdigit()]

    def brute(ids: tuple[int, ...], numeral: str, p: float, found: dict[int, float]) -> None:
        after = probabilities(model, ids)
        goes_on = 0 < int(numeral) <= 10  # a number above 10, or 0, has no longer one up to 100
        found[int(numeral)] = found.get(int(numeral), 0.0) + p * (1 - float(after[bare].sum()) * goes_on)
        for id in bare if goes_on else ():
            if int(numeral + text[id]) <= 100:
                brute((*ids, id), numeral + text[id], p * float(after[id]), found)

    for question, read in zip(QUESTIONS, first_integers(model, QUESTIONS), strict=True):
        start = model.chat.prompt_ids(question)
        p, found = probabilities(model, start), dict[int, float]()
        for id in ids_that(model, lambda t: t.strip().isdecimal()):
            brute((*start, id), text[id].strip(), float(p[id]), found)
        assert found[100] > 0.001
        for n in range(101):
            # The beginnings of numbers that are less probable than 1e-4 are not followed.
            assert read.mass.get(n, 0.0) == pytest.approx(found.get(n, 0.0), abs=3e-4)


def test_a_word_is_read_from_all_tokens_that_begin_it():
    model = judge_model(marks=None, words=["unsafe", " unsafe", "safe"])
    (read,) = first_words(model, QUESTIONS[:1], begins("safe", "unsafe"))
    p = probabilities(model, model.chat.prompt_ids(QUESTIONS[0]))
    for word in ("safe", "unsafe"):
        ids = ids_that(model, lambda t, word=word: bool(t.strip()) and word.startswith(t.strip().lower()))
        assert close(read.mass[word], float(p[ids].sum()))


def test_a_token_that_could_begin_two_words_is_neither():
    meaning = begins("no", "none")
    assert meaning("no") is None
    assert meaning(" None") == "none"


def test_a_score_is_the_expected_number_over_a_hundred():
    model = writes_numbers_whole()
    judge = Scored(KIND, model=model)
    (before,) = judge.grade([shown("Orla does.")])
    assert before["kind"].outcome is Outcome.abstained
    assert before["kind"].score is None
    assert "of the probability, less than 0.25" in before["kind"].reason

    leaning = judge_model(marks=None, words=[str(n) for n in range(101)])
    asked = recorded_question(shown("Orla does."))
    numbers = ids_that(leaning, lambda t: t.strip().isdecimal() and int(t) <= 100)
    ids = leaning.chat.prompt_ids(asked)
    lean(leaning, {ids: dict.fromkeys(numbers, 8.0)})
    p = probabilities(leaning, ids)
    mass = float(p[numbers].sum())
    expected = sum(float(p[id]) * int(leaning.chat.tokenizer.decode([id])) for id in numbers) / mass / 100
    (verdicts,) = Scored(KIND, model=leaning).grade([shown("Orla does.")])
    assert mass > 0.25
    assert verdicts["kind"].outcome is Outcome.decided
    assert close(verdicts["kind"].score, expected)
    assert verdicts["kind"].p is None


def recorded_question(one):
    """What `Scored` asks, as a judge without any distribution saw it."""

    class Recorder(Scripted):
        def top_tokens(self, requests):
            self.seen += requests
            raise KeyboardInterrupt

    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        Scored(KIND, model=recorder).grade([one])
    return recorder.seen[0]


def test_a_judge_without_a_distribution_abstains():
    (verdicts,) = Scored(KIND, model=Scripted("85")).grade([shown("Orla does.")])
    assert verdicts["kind"].outcome is Outcome.abstained
    assert verdicts["kind"].reason == "the judge shows no next-token distribution"


def test_a_prompt_longer_than_the_judges_context_is_an_error_of_its_own():
    long, short = first_integers(writes_numbers_whole(), [ask("gulls " * 3000, id="a"), QUESTIONS[0]])
    assert long.outcome is Outcome.error
    assert "the judge's context is 2048 tokens" in long.why
    assert short.mass


def test_a_model_that_breaks_is_an_error_and_raises_nothing():
    class Broken:
        chat, trunk, fingerprint = (
            writes_numbers_whole().chat,
            writes_numbers_whole().trunk,
            Scripted().fingerprint,
        )

        def next_token(self, prefixes, candidates):
            raise RuntimeError("the device's memory is full")

    (verdicts,) = Scored(KIND, model=Broken()).grade([shown("Orla does.")])
    assert verdicts["kind"].outcome is Outcome.error
    assert "memory is full" in verdicts["kind"].reason


def test_an_answer_that_is_missing_or_cut_off_is_not_asked_about():
    judge = Scored(KIND, model=Scripted("85"))
    stops = [
        ("", Stop.eos),
        ("", Stop.length),
        ("", Stop.error),
        ("", Stop.filtered),
        ("Orla d", Stop.length),
    ]
    found = judge.grade([shown(answer, stop=stop) for answer, stop in stops])
    assert [verdicts["kind"].outcome for verdicts in found] == [
        Outcome.unparsed, Outcome.truncated, Outcome.error, Outcome.error, Outcome.truncated,
    ]  # fmt: skip
    assert judge.model.seen == []
