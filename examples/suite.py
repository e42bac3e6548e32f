"""A suite of your own: turns a file into items. Register the class under `truing.suites` to use it by name."""

import tempfile
from pathlib import Path

from truing.audit import Loaded, read_sources, text_field
from truing.types import Expect, Item, ask


class TownFacts:
    """Rows `{"question", "answer", "topic"}`; questions on one topic are not independent."""

    name = "town_facts"
    version = "1"  # move it whenever an item could change

    def load(self, source: str | None) -> Loaded:
        sources = read_sources(self.name, source, "*.jsonl", split="test")
        items = []
        for file in sources:
            for row in file.rows:  # a row that is wrong is an InputError naming file and row
                id = f"{self.name}/{row.number}"
                request = ask(text_field(row, "question", file.name), id=id)
                target, topic = text_field(row, "answer", file.name), text_field(row, "topic", file.name)
                items.append(
                    Item(id, request, self.name, "capability", Expect.text, target, cluster=topic,
                         source=f"{file.name}:{row.number}")
                )  # fmt: skip
        return Loaded(self.name, self.version, tuple(items), {s.name: s.digest for s in sources})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "facts.jsonl").write_text(
            '{"question": "Who rings?", "answer": "Orla", "topic": "bell"}\n', "utf-8"
        )
        loaded = TownFacts().load(folder)
    print(loaded.items[0].id, loaded.items[0].target, loaded.items[0].source)
    assert loaded.items[0].cluster == "bell"
