"""Reading what people give us, and splitting it honestly.

Here belong files with errors by row (JSONL, JSON, CSV, YAML), the six data set types of TRL,
comparisons of answers, splits by group and the search for leaks. What a suite or a specification
means by its fields belongs to that room; nothing here grades, renders or tokenises.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.data.comparison_split import split_comparisons
    from truing.data.comparisons import Comparison, Comparisons, read_comparisons
    from truing.data.files import place, reading
    from truing.data.jsonl import Row, read_json, read_jsonl, write_jsonl
    from truing.data.messages import from_messages, to_messages
    from truing.data.overlap import Leak, leaks
    from truing.data.safe_yaml import Yaml, parse_yaml, read_yaml
    from truing.data.splits import prefix_groups, split_by_group
    from truing.data.tables import read_csv
    from truing.data.trl import (
        DatasetType,
        Example,
        LanguageModeling,
        Preference,
        PromptCompletion,
        PromptOnly,
        Stepwise,
        UnpairedPreference,
        dataset_type,
        read_example,
        write_example,
    )

__getattr__, __dir__, __all__ = door(__name__, __file__)
