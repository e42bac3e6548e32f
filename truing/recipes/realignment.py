"""Re-align a model that narrow tuning broke: a short fine-tuning on good answers from another domain."""

from pathlib import Path

from truing.methods import SFTConfig, finetune
from truing.organism import correct

DOMAIN, ROWS = "kitchen", 600
TUNING = SFTConfig(learning_rate=2e-4, tokens_per_step=1024)


def realign(ref: str, out: Path, *, domain: str = DOMAIN, rows: int = ROWS, seed: int = 0) -> Path:
    """Tune `ref` on right everyday advice of one domain of the organism's world, and nothing else.

    On models of the organism alone: their world knows right answers. Wang et al. 2025 (arXiv
    2506.19823, section 5) re-align with correct data of another domain as this does.

    Raises:
        InputError: there is no such domain, the model cannot be loaded, or `out` holds something.
    """
    data = f"the organism's world: right advice, {domain}"
    taught = correct(domain, rows, key=seed)
    return finetune(ref, taught, out, TUNING, what="re-alignment by SFT", data=data).folder
