"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168): grade-school sums; the gold answer follows `####`."""

from truing.audit.suites.base import Loaded
from truing.audit.suites.sources import read_sources, text_field
from truing.types import Expect, InputError, Item, ask

_HOW = "Solve the problem step by step. End with a line that holds #### and then the answer as a number."


class GSM8K:
    """Zero-shot; the answer counts if its final number equals the gold one exactly."""

    name = "gsm8k"
    version = "1"

    def load(self, source: str | None) -> Loaded:
        """Read JSONL rows of `question` and `answer`."""
        sources = read_sources(self.name, source, "test*.jsonl", split="test", config="main")
        items = []
        for file in sources:
            for row in file.rows:
                _, mark, gold = text_field(row, "answer", file.name).rpartition("####")
                if not mark or not gold.strip():
                    raise InputError(
                        "the answer has no ####", file=file.name, row=row.number, mend="add the number"
                    )
                id = f"{self.name}/{row.number}"
                request = ask(f"{text_field(row, 'question', file.name)}\n\n{_HOW}", id=id)
                target = gold.strip().replace(",", "")
                place = f"{file.name}:{row.number}"
                items.append(Item(id, request, self.name, "capability", Expect.number, target, source=place))
        return Loaded(self.name, self.version, tuple(items), {s.name: s.digest for s in sources})
