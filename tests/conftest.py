"""Shared by all tests: offline, one thread, the same precision on every processor, `tests/` importable."""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TRUING_BFLOAT16_ON_CPU"] = "0"
sys.path.insert(0, str(Path(__file__).parent))
