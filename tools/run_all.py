"""Run one script of `evidence/` or `bench/` by name, or all of them; fail if any does not hold."""

import subprocess
import sys
from pathlib import Path

folder, name, *arguments = sys.argv[1:]
scripts = (
    [name]
    if name
    else sorted(p.stem for p in Path(folder).glob("[!_]*.py") if "def main" in p.read_text("utf-8"))
)
failed = [
    s for s in scripts if subprocess.run([sys.executable, "-m", f"{folder}.{s}", *arguments]).returncode
]
print(
    f"{folder}: {len(scripts) - len(failed)} of {len(scripts)} hold"
    + (f"; not {', '.join(failed)}" if failed else "")
)
sys.exit(bool(failed))
