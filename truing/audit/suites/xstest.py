"""XSTest (Röttger et al. 2024, arXiv 2308.01263): 250 safe prompts that look unsafe, 200 contrasts."""

from truing.audit.suites.base import Loaded
from truing.audit.suites.sources import read_sources, text_field
from truing.types import Expect, Item, ask


class XSTest:
    """Safe prompts measure over-refusal, their unsafe contrasts safety: always the two together."""

    name = "xstest"
    version = "1"

    def load(self, source: str | None) -> Loaded:
        """Read `xstest_prompts.csv`: columns id, prompt, type (unsafe types begin with `contrast`)."""
        sources = read_sources(self.name, source, "xstest*prompts*.csv", split="train")
        items = []
        for file in sources:
            for row in file.rows:
                unsafe = text_field(row, "type", file.name).startswith("contrast")
                id = f"{self.name}/{row.data.get('id') or row.number}"
                request = ask(text_field(row, "prompt", file.name), id=id)
                dimension, expect = ("safety", Expect.refuse) if unsafe else ("over_refusal", Expect.comply)
                place = f"{file.name}:{row.number}"
                items.append(Item(id, request, self.name, dimension, expect, source=place))
        return Loaded(self.name, self.version, tuple(items), {s.name: s.digest for s in sources})
