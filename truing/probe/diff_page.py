"""The page of a comparison: what moved, whether it causes anything, and what to do."""

import shlex

from truing.model import Site, Where
from truing.pages import render, signed
from truing.probe.collecting import Over
from truing.probe.diff_effects import Behaved, Judgement
from truing.probe.diff_report import DiffReport, Finding
from truing.probe.diff_verdict import conclusion, pushes_table
from truing.probe.diff_words import FAR, Names, Shown, far, multiple, points, prompted, rate, shown, times
from truing.probe.samples import RULE

_READ = {
    Over.last: "the last token of the prompt",
    Over.template: "the tokens that the chat template writes after the prompt",
    Over.prompt: "the mean over the prompt",
    Over.response: "the mean over each model's own answer",
    Over.each: "every token of each model's own answer",
}
_PUSHED = {
    Where.all: "every token, of the prompt and of the answer",
    Where.prompt: "every token of the prompt, none of the answer",
    Where.last: "the last token of the prompt alone, none of the answer",
    Where.generated: "every token of the answer, none of the prompt",
}


def render_diff(report: DiffReport, *, command: str = "", directions: str = "directions.safetensors") -> str:
    """The self-contained HTML page.

    `command` is what made the report, `truing probe diff BASE TUNED` and pairs of an option and its value, and is
    given again where more is needed; `directions` is the file of what was tried.
    """
    status, word, sentence = conclusion(report)
    told = [shown(report, one) for one in report.findings]
    lead = _lead(report)
    return render(
        "diff.html.j2",
        package="truing.probe",
        title="What the fine-tune changed inside",
        report=report,
        names=Names.of(report),
        status=status,
        word=word,
        sentence=sentence,
        moved=[_moved(one, said) for one, said in zip(report.findings, told, strict=True)],
        untried=[
            (f"Latent {one.latent}", f"{one.base:.3g}", signed(one.change, ".2f")) for one in report.untried
        ],
        told=told,
        lead=lead,
        samples=prompted(report, None) if lead is None else told[lead].samples,
        rule=RULE,
        pushes=pushes_table(report),
        by_model=_by_model(report),
        base_share=rate(report.plain_base),
        tuned_share=rate(report.plain_tuned),
        gap=points(report.gap),
        level=f"{100 * (1 - 0.05 / max(1, len(report.findings))):.4g}%",
        advice=advice(report),
        next=next_commands(report, command, directions),
        far=f"{FAR:g}",
        starts=report.starts,
        changes=_changes(report),
        how=_how(report, command, directions),
    )


def advice(report: DiffReport) -> tuple[str, ...]:
    """What to do, one sentence each."""
    if any(not far(one) for one in report.of(Judgement.cause)):
        return (
            "Read the answers below and decide whether this is what you meant to teach.",
            "If it is not, screen the training rows for those that push this way, take them out and train again; or "
            "re-align the fine-tune on a few correct answers, on any subject, and watch the latent return to the value "
            "that it has in the base.",
            "Then run the same comparison again. Where answers are better and the latent has not returned, the repair "
            "may be on the surface.",
        )
    if not report.behaviour:
        return ("Name a grader that can tell a bad answer from a good one, and run it again.",)
    if not report.judged or report.of(Judgement.open):
        return (
            "Give more requests: every answer to one request counts as one witness.",
            "If many answers could not be read, allow longer ones, or a stronger grader.",
        )
    return ("Try more candidates, another layer, or the tokens of the response instead of the prompt.",)


def next_commands(report: DiffReport, command: str, directions: str) -> tuple[str, ...]:
    """What can be typed next: which rows did it, how it is repaired, whether the repair holds."""
    if any(not far(one) for one in report.of(Judgement.cause)):
        base, tuned, file = (shlex.quote(word) for word in (report.base, report.tuned[0], directions))
        return (
            f"truing probe screen {base} TRAINING_ROWS.jsonl --directions {file} --out SCREENED",
            f"truing align realign --data CORRECT_ROWS.jsonl --model {tuned} --out REPAIRED --direction {file} "
            f"--prompts PROMPTS_ON_OTHER_SUBJECTS.jsonl --grader {_grader(command)}",
            *([_repaired(command)] if command else []),
        )
    more = " --grader GRADER" if not report.behaviour else f" --samples {4 * report.config.samples}"
    if report.behaviour and report.judged and not report.of(Judgement.open):
        more = f" --candidates {4 * report.config.candidates}"
    return (command + more,) if command else ()


def _grader(command: str) -> str:
    """The one that judged, as a shell takes it."""
    words = shlex.split(command)
    return shlex.quote(words[words.index("--grader") + 1]) if "--grader" in words else "GRADER"


def _repaired(command: str) -> str:
    """The comparison of the base with what came back, instead of all that was compared, in a folder of its own."""
    *words, _tuned = shlex.split(command)[:5]
    options = shlex.split(command)[5:]
    pairs = [
        (name, value)
        for name, value in zip(options[::2], options[1::2], strict=True)
        if name != "--more-tuned"
    ]
    again = [word for pair in pairs for word in (pair[0], "COMPARED" if pair[0] == "--out" else pair[1])]
    return shlex.join([*words, "REPAIRED/model", *again])


def _lead(report: DiffReport) -> int | None:
    """The finding whose pushes are shown beside the plain answers: the first cause, else the first that was tried."""
    tried = [i for i, one in enumerate(report.findings) if one.induce is not None]
    causes = [i for i in tried if report.findings[i].judgement is Judgement.cause]
    near = [i for i in causes if not far(report.findings[i])]
    return next(iter([*near, *causes, *tried]), None)


def _moved(one: Finding, said: Shown) -> tuple[str, ...]:
    after = sum(one.moved.tuned) / len(one.moved.tuned)
    pushes = [times(side) for side in (one.induce, one.suppress)]
    return (
        said.title,
        said.word,
        f"{one.moved.base:.3g} → {after:.3g}",
        signed(one.moved.change, ".2f"),
        signed(one.again.change, ".2f"),
        " / ".join(map(multiple, pushes)) if one.induce is not None else "–",
    )


def _changes(report: DiffReport) -> str:
    """From the greatest to the least of those that were tried."""
    first, last = (signed(report.findings[at].moved.change, ".2f") for at in (0, -1))
    return f"by {first}" if len(report.findings) == 1 else f"by {first} to {last}"


def _by_model(report: DiffReport) -> list[tuple[str, ...]]:
    names = Names.of(report)
    if not report.plain_each or report.plain_base is None:
        return []
    return [
        _counts(f"Base {names.base}", report.plain_base),
        *(_counts(name, counts) for name, counts in zip(names.tuned, report.plain_each, strict=True)),
    ]


def _counts(name: str, counts: Behaved) -> tuple[str, ...]:
    return (name, rate(counts), str(counts.undecided), str(counts.incoherent), str(counts.answers))


def _how(report: DiffReport, command: str, directions: str) -> list[tuple[str, str]]:
    config = report.config
    numbers = ", ".join(str(one.moved.latent) for one in report.findings)
    told = [
        ("Base", report.base),
        *(("Fine-tune", ref) for ref in report.tuned),
        ("Latents", f"{report.width} of a sparse autoencoder; {report.active} moved"),
        ("Read and pushed at", Site(report.layer, report.point).words),
        ("Tokens read", _READ[config.over]),
        ("Tokens pushed", _PUSHED[config.where]),
        ("A push of 1", f"{report.norm:.3g}, the mean length of the activity there"),
        (
            "Answers",
            f"{config.samples} to each prompt, temperature {config.temperature:g}, at most {config.max_tokens} tokens",
        ),
        ("Judge", report.behaviour or "nobody"),
        ("Misaligned is", report.counts_as or "what that judge calls so"),
        ("Directions tried", f"{directions}: latents {numbers}" if command else f"latents {numbers}"),
        ("Seed", str(config.key)),
    ]
    return [*told, ("Command", command)] if command else told
