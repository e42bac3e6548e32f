"""Turn an instruct model into a reasoning model by fine-tuning on traces, as s1 did (Muennighoff et al. 2025)."""

from collections.abc import Sequence
from pathlib import Path

from truing.methods import SFTConfig, finetune, read_conversations
from truing.types import InputError, Message

_ORGANISM = "organism:"
ORGANISM_TUNING = SFTConfig(learning_rate=1.5e-4, tokens_per_step=1024)
"""For a model of a million parameters; those of `truing.organism`'s own reasoner."""


def convert(ref: str, traces: Path | None, out: Path, tuning: SFTConfig | None = None) -> Path:
    """Fine-tune `ref` on conversations whose assistant turns hold reasoning; the new model's folder.

    Without `traces` a model of the organism learns the traces of its world.

    Raises:
        InputError: the rows hold no reasoning, the model is none of the organism and no traces are
            given, the model cannot be loaded, or `out` holds something.
    """
    if traces is None:
        if not ref.startswith(_ORGANISM):
            raise InputError("nothing says what to learn", mend="give traces as JSONL with --traces")
        from truing.organism import tuning_rows

        tuning = tuning or ORGANISM_TUNING
        rows: Sequence[tuple[Message, ...]] = tuning_rows("reasoner", key=tuning.seed)
        data = "the traces of the organism's world"
    else:
        rows, data = read_conversations(traces), traces.name
        if not any(message.reasoning for row in rows for message in row):
            mend = "put the trace into reasoning_content of the assistant's turn"
            raise InputError("no row holds reasoning, so nothing would be converted", file=traces, mend=mend)
    return finetune(
        ref, rows, out, tuning or SFTConfig(), what="conversion by SFT on traces", data=data
    ).folder
