"""A grader of your own: does the answer name its source? Judges answers, says nothing about models."""

import re
from collections.abc import Mapping, Sequence

from truing.types import GraderId, Outcome, Shown, Stop, Verdict, ask

_SOURCE = re.compile(r"\b(according to|source:|as reported by)\s+\w+", re.IGNORECASE)


class NamesItsSource:
    """One criterion, `names_source`: p is 1 or 0 here; a model-based grader would give a probability."""

    id = GraderId("names-its-source", "1")  # move the version whenever a verdict could change

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        return [{"names_source": self._one(s)} for s in shown]

    def _one(self, shown: Shown) -> Verdict:
        if not shown.answer.strip():  # missing evidence has an outcome of its own, and no score
            return Verdict("names_source", Outcome.unparsed, self.id, reason="empty answer")
        found = _SOURCE.search(shown.answer)
        if found is None and shown.stop is Stop.length:
            return Verdict("names_source", Outcome.truncated, self.id, reason="a source may have followed")
        label, score, cites = ("named", 1.0, (found[0],)) if found else ("missing", 0.0, ())
        return Verdict(
            "names_source", Outcome.decided, self.id, label=label, p=score, score=score, cites=cites
        )


if __name__ == "__main__":
    question = ask("How tall is the tower?", id="1")
    answers = ["According to Marrow Almanac, forty feet.", "Forty feet.", "", "Forty feet, as"]
    stops = [Stop.eos, Stop.eos, Stop.eos, Stop.length]
    shown = [Shown(question, a, s) for a, s in zip(answers, stops, strict=True)]
    outcomes = [
        str(v["names_source"].label or v["names_source"].outcome) for v in NamesItsSource().grade(shown)
    ]
    print(outcomes)
    assert outcomes == ["named", "missing", "unparsed", "truncated"]
