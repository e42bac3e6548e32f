"""Inside a model: directions of its activations, what they cause, and what moved.

Here belong collecting activations, finding and choosing directions and latents, and the measurements
that show whether they cause anything. Hooks that read or change activations live in `model`, training
in `train`, and what a direction is used for in the rooms above.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.probe.candidates import Candidate, Chosen, choose, read_candidates, write_candidates
    from truing.probe.collecting import (
        Batch,
        Over,
        Text,
        collect,
        collected,
        completion_texts,
        conversation_texts,
        mean_activations,
        prompt_texts,
        template_tokens,
    )
    from truing.probe.diff_causes import Experiment, Side, answered, try_direction
    from truing.probe.diff_effects import Behaved, Behaviour, Judged, Judgement, Shift, behaved, shift
    from truing.probe.diff_graded import graded_behaviour, misaligned_by
    from truing.probe.diff_page import render_diff
    from truing.probe.diff_reading import Example, Lens, logit_lens, top_examples
    from truing.probe.diff_report import DiffConfig, DiffReport, Finding, diff_models, latent_direction
    from truing.probe.diff_strength import Strength, Tried, strongest_within
    from truing.probe.diff_verdict import conclusion
    from truing.probe.diffing import (
        LatentChange,
        RequestSplit,
        mean_latents,
        mean_norm,
        ranked_changes,
        sae_site,
        split_requests,
    )
    from truing.probe.direction_files import load_directions, save_directions
    from truing.probe.directions import (
        Direction,
        cosine_table,
        mean_difference,
        persona_vectors,
        random_like,
    )
    from truing.probe.personas import Contrast, persona_contrasts
    from truing.probe.projecting import check_direction, projections
    from truing.probe.prompt_files import check_prompts, read_prompts
    from truing.probe.refusal import (
        Prompts,
        candidate_directions,
        evaluate_candidates,
        opener_ids,
        refusal_direction,
        refusal_scores,
        split_prompts,
    )
    from truing.probe.rivals import AnswerPair, WrongAnswers, wrong_answers, wrong_log_odds
    from truing.probe.sae import SAE
    from truing.probe.sae_architectures import BatchTopK, JumpReLU, TopK
    from truing.probe.sae_config import BatchTopKConfig, JumpReLUConfig, SAEConfig, TopKConfig
    from truing.probe.sae_documents import (
        Document,
        DocumentsConfig,
        document_activations,
        read_documents,
        saes_of_documents,
    )
    from truing.probe.sae_files import SavedSAE, load_sae, save_sae
    from truing.probe.sae_measure import SAEFigures, measure_sae
    from truing.probe.sae_training import TrainedSAE, train_saes
    from truing.probe.samples import Said, SampledAnswer, sampled_answers
    from truing.probe.screening import (
        Baseline,
        PersonaFigures,
        RowOutcome,
        RowScore,
        Screened,
        kept_rows,
        screen,
    )
    from truing.probe.screening_page import screening_verdict, write_screening
    from truing.probe.screening_rows import TrainingRow, read_training_rows
    from truing.probe.stream import Activations, HeldActivations, TokenActivations
    from truing.probe.watch_files import (
        Watch,
        Watching,
        WatchText,
        check_base,
        check_tuned,
        check_unseen,
        read_watch,
        write_watch,
    )
    from truing.probe.watching import (
        Alarm,
        Calibrated,
        Watched,
        calibrate,
        watch_readings,
        watch_texts,
        watched,
    )

__getattr__, __dir__, __all__ = door(__name__, __file__)
