"""Claims and the scripts that show them: `python -m evidence.NAME [--quick] [--seed N] [--out DIR]`."""
