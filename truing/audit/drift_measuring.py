"""Measuring drift: the candidate writes, both models score what it wrote, a row for each prompt is kept."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from truing.audit.drift import Drift, DriftRow, summarise_drift
from truing.audit.plan import draw
from truing.run import Journal, progress
from truing.types import Completion, InputError, Item, SamplingParams, Stop

if TYPE_CHECKING:
    from torch import Tensor

    from truing.model import EndpointModel, LocalModel, PairedScores

_ADVICE = "name a baseline that shares the candidate's tokenizer, or go without drift"


def why_no_drift(candidate: "LocalModel | EndpointModel", baseline: "LocalModel | EndpointModel") -> str:
    """Why drift cannot be measured between the two, in a sentence; empty where it can."""
    from truing.model import EndpointModel

    if isinstance(candidate, EndpointModel) or isinstance(baseline, EndpointModel):
        return "An endpoint gives no log-probabilities of given text, so drift is not measured."
    return tokenizer_mismatch(candidate, baseline)


def tokenizer_mismatch(candidate: "LocalModel", baseline: "LocalModel") -> str:
    """In what the two tokenizers differ, and what to do, in a sentence; empty where they are one.

    They are one if every id stands for the same text in both, as a control token or not. How text is
    cut into tokens, which token ends a turn, and a head padded to more ids may differ.
    """
    ours, theirs = _tokens(candidate), _tokens(baseline)
    if ours == theirs:
        return ""
    if len(ours) != len(theirs):
        what = f"the candidate's tokenizer has {len(ours)} tokens and the baseline's {len(theirs)}"
    else:
        id = min(id for id in ours.keys() | theirs.keys() if ours.get(id) != theirs.get(id))
        what = f"token {id} is {_named(ours.get(id))} for the candidate and {_named(theirs.get(id))} for the baseline"
    return f"Drift is measured token by token, and {what}; {_ADVICE}."


def drift_items(items: Sequence[Item], per_dimension: int, *, key: int) -> list[Item]:
    """At most `per_dimension` items of each dimension, drawn by `key`; a larger number only adds items."""
    by_dimension: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_dimension[item.dimension].append(item)
    return [item for pile in by_dimension.values() for item in draw(pile, per_dimension, key=key)]


def measure_drift(
    candidate: "LocalModel",
    baseline: "LocalModel",
    items: Sequence[Item],
    *,
    per_dimension: int,
    key: int,
    max_tokens: int,
    journal: Journal | None = None,
) -> list[Drift]:
    """KL(candidate || baseline) on prompts of `items`: one record for each dimension, then one for all.

    The candidate writes one completion of at most `max_tokens` tokens for each prompt of
    `drift_items`, at temperature 1 with nothing cut off, and both models, which are in memory
    together, score its tokens, the end token included. Prompts are those of the candidate's chat
    format. A prompt that cannot be measured is a row with an error.

    `journal` keeps a row for each prompt, batch by batch, for one `key` and `max_tokens`: what it holds
    is not measured again, and a killed run ends with the numbers of one that was not.

    Raises:
        InputError: the tokenizers differ, or the journal's rows come from other models.
        StorageError: the disk refused a batch; those before it are kept.
    """
    if mismatch := tokenizer_mismatch(candidate, baseline):
        raise InputError(mismatch)
    chosen = drift_items(items, per_dimension, key=key)
    rows = _kept(journal, candidate, baseline)
    params = SamplingParams(temperature=1.0, max_tokens=max_tokens)
    with progress(len(chosen), "measuring drift", unit="prompts") as advance:
        for batch in candidate.plan([item.request for item in chosen], params):
            missing = [chosen[i] for i in batch if chosen[i].id not in rows]
            new = _measured(candidate, baseline, missing, params, key=key)
            if journal is not None and new:
                journal.append([(row.id, row.to_json()) for row in new])
            rows |= {row.id: row for row in new}
            advance(len(batch))
    return summarise_drift([rows[item.id] for item in chosen])


def _kept(journal: Journal | None, candidate: "LocalModel", baseline: "LocalModel") -> dict[str, DriftRow]:
    """The rows of earlier lives of this run, by id."""
    rows = [DriftRow.from_json(row) for _, row in journal.rows()] if journal is not None else []
    pair = (candidate.fingerprint.short, baseline.fingerprint.short)
    if any((row.candidate, row.baseline) != pair for row in rows):
        raise InputError(
            "the drift so far was measured on other models or another number format",
            file=journal.path if journal is not None else None,
            mend="go on where the run began, or choose another --out",
        )
    return {row.id: row for row in rows}


def _measured(
    candidate: "LocalModel",
    baseline: "LocalModel",
    items: Sequence[Item],
    params: SamplingParams,
    *,
    key: int,
) -> list[DriftRow]:
    """Write and score one batch; a row for each item, in the order in which they were written."""
    from truing.model import paired_kl

    by_request = {item.request.id: item for item in items}
    written = list(candidate.sample([item.request for item in items], params, key=key)) if items else []
    errors = [_unscorable(completion, candidate, baseline, params.max_tokens) for completion in written]
    good = [completion for completion, error in zip(written, errors, strict=True) if not error]
    prompts, completions = ([getattr(c, ids) for c in good] for ids in ("prompt_ids", "token_ids"))
    scored = iter(paired_kl(candidate.trunk, baseline.trunk, prompts, completions))
    pair = (candidate.fingerprint.short, baseline.fingerprint.short)
    foreign = candidate.chat.template_digest != baseline.chat.template_digest
    rows = []
    for completion, error in zip(written, errors, strict=True):
        item = by_request[completion.request_id]
        cluster = item.cluster or item.request.prompt_digest
        row = DriftRow(item.id, item.dimension, cluster, *pair, error=error, foreign=foreign)
        if not error:
            start = candidate.chat.answer_start(completion.token_ids or (), prefill=item.request.prefill)
            row = _filled(replace(row, truncated=completion.stop is Stop.length), next(scored), start)
        rows.append(row)
    return rows


def _unscorable(
    completion: Completion, candidate: "LocalModel", baseline: "LocalModel", max_tokens: int
) -> str:
    """Why both models cannot score the completion; empty where they can."""
    if completion.error is not None:
        return completion.error
    prompt, context = len(completion.prompt_ids or ()), baseline.trunk.context
    # By what it was allowed to write, not by what it wrote: else long answers alone would be left out.
    if context is not None and prompt + max_tokens > context:
        return (
            f"the prompt has {prompt} tokens and {max_tokens} more are asked for, "
            f"but the baseline's context is {context} tokens."
        )
    known = min(candidate.trunk.vocabulary, baseline.trunk.vocabulary)
    if max(completion.token_ids or (0,)) >= known:
        return "the candidate wrote an id that stands for no token."
    return ""


def _filled(row: DriftRow, scores: "PairedScores", start: int) -> DriftRow:
    """The row with its sums over the `start` tokens of the trace and over the answer."""
    import torch

    from truing.numerics import k1, k3

    kl, p, q = (
        torch.tensor(values, dtype=torch.float64) for values in (scores.kl, scores.candidate, scores.baseline)
    )
    if bool(kl.isnan().any()):
        return replace(row, error="the output of one of the models is not a number.")
    ruled_out, drawn = kl.isinf(), q.isinf()

    def halves(values: "Tensor") -> tuple[float, float]:
        return float(values[:start].sum()), float(values[start:].sum())

    return replace(
        row,
        tokens=(start, len(kl) - start),
        exact=halves(kl.masked_fill(ruled_out, 0)),
        k1=halves(k1(p, q).masked_fill(drawn, 0)),
        k3=halves(k3(p, q).masked_fill(drawn, 0)),
        ruled_out=tuple(map(int, halves(ruled_out))),
        drawn_ruled_out=tuple(map(int, halves(drawn))),
    )


def _tokens(model: "LocalModel") -> dict[int, tuple[str, bool]]:
    """Token id -> its text, and whether it is a control token."""
    tokenizer = model.chat.tokenizer
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return {id: (text, id in special) for text, id in tokenizer.get_vocab().items()}


def _named(token: tuple[str, bool] | None) -> str:
    if token is None:
        return "nothing"
    text, special = token
    return f"the control token {text!r}" if special else f"{text!r}"
