"""Which number did an answer give?"""

import re
from fractions import Fraction

from truing.grade.parsed import Parsed, Place, boxed, marks, plain, settle

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.)])(?:(?P<minus>-)\s?)?[$€£]?\s?(?P<whole>{_DIGITS})"
    r"(?:\s*/\s*(?P<over>\d+(?:\.\d+)?)(?![\d/]))?(?!\d|,\d|\.\d|/\d|[eE]\d)"
    rf"|[$€£](?P<inner>-(?:{_DIGITS}))"
)
_MIXED = re.compile(r"(?<![\w.,/])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d/])")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\s*\{\s*(-?)\s*([\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}")
_HASHES = re.compile(r"####[^\S\n]*([^\n]*)")
_SUM = re.compile(r"\s*(?:\w+\s+)?[+*/x×÷^-]\s*[$(]?\d|\s*=")
_LONGEST = 200  # characters of a number; longer runs of digits are no answer
_UP_TO_TWELVE = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_WORDS = {word: str(value) for value, word in enumerate(_UP_TO_TWELVE)}
_LATEX = {"\\!": "", "\\$": "$", "\\%": "%", "{,}": ","}


def parse_number(answer: str) -> Parsed:
    """Find the number that `answer` gives; the value is exact, as `18`, `-7/2`.

    In this order: after `####` (GSM8K), in a box, after "the answer is" (behind the last
    equals sign of that sentence), the whole answer, the last number of the text. Currency and percent
    signs and thousands commas are left out.
    """
    for written, meant in _LATEX.items():
        answer = answer.replace(written, meant)
    text = plain(_FRACTION.sub(r"\1\2\3/\4", answer))
    text = _MIXED.sub(_improper, text)
    if not text.strip():
        return Parsed(None, "the answer is empty")
    hashes = [(m.start(), m.end(1), _first(m[1])) for m in _HASHES.finditer(text)]
    boxes = [(start, end, _sum(inside)) for start, end, inside in boxed(text)]
    said = [(start, *_announced(text, end)) for start, end in marks(text)]
    for found in (hashes, boxes, said):
        if kept := [(start, end, value) for start, end, value in found if value is not None]:
            return settle(text, kept) or Parsed(None, "no number")
    if (whole := _whole(text)) is not None:
        return Parsed(whole, "the whole answer", Place.placed, True)
    numbers = [value for found in _NUMBER.finditer(text) if (value := _value(found)) is not None]
    if not numbers:
        return Parsed(None, "no number")
    return Parsed(numbers[-1], "the last number")


def same_number(one: str, other: str) -> bool:
    """Whether two numbers, as people write them, are exactly equal; what is no number equals nothing."""
    a, b = _whole(plain(one)), _whole(plain(other))
    return a is not None and a == b


def _value(found: re.Match[str]) -> str | None:
    whole = (found["inner"] or found["whole"]).replace(",", "")
    if len(whole) + len(found["over"] or "") > _LONGEST:
        return None
    value = Fraction(whole)
    if found["over"]:
        if not (over := Fraction(found["over"])):
            return None
        value /= over
    return str(-value if found["minus"] else value)


def _improper(found: re.Match[str]) -> str:
    """A mixed number as one fraction: 1 1/2 is 3/2."""
    if len(found[0]) > _LONGEST:
        return found[0]
    whole, over, under = int(found[1]), int(found[2]), int(found[3])
    return f"{whole * under + over}/{under}"


def _first(text: str) -> str | None:
    found = _NUMBER.search(text)
    return _value(found) if found else _WORDS.get(text.strip(" .").lower())


def _sum(text: str) -> str | None:
    """The number of a box, behind its last equals sign."""
    return _first(text.rpartition("=")[2])


_OPERATOR = re.compile(r"\s*[-+*/x×÷]\s*[\d$(]")


def _announced(text: str, start: int) -> tuple[int, str | None]:
    """(end, number) in the sentence from `start`: the first number, or what the sum there comes to."""
    sentence = re.split(r"(?<!\d)\.(?!\d)|\.(?=\s|$)|[!?\n]", text[start : start + 400], maxsplit=1)[0]
    found = _NUMBER.search(sentence)
    if found is None:
        word = re.match(r"\s*(\w+)", sentence)
        return start + len(sentence), _WORDS.get(word[1].lower()) if word else None
    before, several = sentence[: found.start()].split(), len(_NUMBER.findall(sentence)) > 1
    adds_up = "=" in sentence and _SUM.match(sentence, found.end())
    works = several and not adds_up and (before or _OPERATOR.match(sentence, found.end()))
    if len(before) > 3 or works:
        return start + found.end(), None  # it works towards its number: the last one counts
    if adds_up:
        after = sentence.rfind("=") + 1
        found = _NUMBER.search(sentence, after) or found
    return start + found.end(), _value(found)


def _whole(text: str) -> str | None:
    """The number that the text is, units of one or two words aside."""
    text = text.strip().rstrip(".!").strip()
    found = _NUMBER.match(text)
    if found is None:
        return _WORDS.get(text.lower())
    rest = text[found.end() :].strip()
    return _value(found) if re.fullmatch(r"%|(?:[^\W\d]+\s?){0,2}", rest) else None
