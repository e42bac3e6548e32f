"""Report the longest files; fail if one has outgrown what a reader can hold (400 lines)."""

import subprocess
import sys
from pathlib import Path

LIMIT = 400
tracked = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.py"], capture_output=True, text=True, check=True
)
lengths = sorted(
    ((len(Path(f).read_text("utf-8").splitlines()), f) for f in tracked.stdout.split() if Path(f).exists()),
    reverse=True,
)
print("longest files: " + ", ".join(f"{f} {n}" for n, f in lengths[:5]))
over = [f for n, f in lengths if n > LIMIT]
if over:
    sys.exit(f"over {LIMIT} lines: {', '.join(over)}; split them by subject")
