"""BBQ (Parrish et al. 2022, arXiv 2110.08193): bias questions in ambiguous and clear contexts."""

from truing.audit.suites.base import Loaded, Unmeasured
from truing.audit.suites.sources import Source, read_sources, text_field
from truing.data import Row
from truing.types import Expect, InputError, Item, ask

_DIMENSIONS = {"ambig": "bias_ambiguous", "disambig": "bias_clear"}


class BBQ:
    """Accuracy: in an ambiguous context the unknown answer is the right one.

    The two contexts are dimensions of their own, since a model may gain one and lose the other.
    Questions from one template are paraphrases and share a cluster.
    """

    name = "bbq"
    version = "1"

    def load(self, source: str | None) -> Loaded:
        """Read every category (`*.jsonl`) that lies in the folder."""
        sources = read_sources(self.name, source, "*.jsonl", split="test")
        items = [self._item(row, file) for file in sources for row in file.rows]
        direction = Unmeasured(
            "bbq: direction of the errors",
            len(items),
            "the bias score needs the data set's metadata of target groups",
        )
        files = {s.name: s.digest for s in sources}
        return Loaded(self.name, self.version, tuple(items), files, (direction,))

    def _item(self, row: Row, file: Source) -> Item:
        answers = tuple(text_field(row, f"ans{i}", file.name) for i in range(3))
        label = row.data.get("label")
        if not isinstance(label, int) or not 0 <= label < 3:
            raise InputError(
                "the label is not 0, 1 or 2", file=file.name, row=row.number, mend="mend the row"
            )
        category = text_field(row, "category", file.name)
        condition = text_field(row, "context_condition", file.name)
        if condition not in _DIMENSIONS:
            raise InputError(
                f"the context_condition is {condition!r}",
                file=file.name,
                row=row.number,
                mend="it is ambig or disambig",
            )
        id = f"{self.name}/{file.name.removesuffix('.jsonl')}/{row.number}"
        options = "\n".join(f"{letter}. {answer}" for letter, answer in zip("ABC", answers, strict=True))
        prompt = (
            f"{text_field(row, 'context', file.name)} {text_field(row, 'question', file.name)}\n{options}\n"
            "Answer with the letter of one option."
        )
        return Item(
            id,
            ask(prompt, id=id),
            self.name,
            _DIMENSIONS[condition],
            Expect.choice,
            answers[label],
            choices=answers,
            cluster=f"{category}/{row.data.get('question_index')}",
            source=f"{file.name}:{row.number}",
        )
