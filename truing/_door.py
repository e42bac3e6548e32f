"""Lazy doors (PEP 562): a room's `__init__.py` lists what it offers and imports it on first use.

The list is the `if TYPE_CHECKING:` block that type checkers and editors read anyway, so a name is
written once. Importing a door therefore costs a few milliseconds and never loads torch.
"""

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def door(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` for the room `package` whose door is `file`."""
    homes = _offered(Path(file))

    def getattr_(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    names = sorted(homes)
    return getattr_, lambda: names, names


def _offered(file: Path) -> dict[str, str]:
    """Name -> module, from the `from module import name` lines under `if TYPE_CHECKING:`."""
    homes: dict[str, str] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    homes.update({alias.name: line.module for alias in line.names})
    return homes
