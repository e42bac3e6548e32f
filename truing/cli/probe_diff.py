"""`truing probe diff`: what a fine-tune moved inside, and whether that causes its behaviour."""

import json
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from truing.cli.app import Exit
from truing.types import InputError, dumps

if TYPE_CHECKING:
    from truing.probe import DiffReport


@dataclass
class Diff:
    """Compare a base with a fine-tune: which latents moved, and which of them cause what it does."""

    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """The model before: a folder, hub:ID or organism:NAME."""
    tuned: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TUNED")]
    """The model after."""
    sae: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """A sparse autoencoder of the base (truing probe sae)."""
    prompts: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Requests: JSONL, or a JSON list, with a prompt or an instruction in each row. Half choose, half test."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where report.json, index.html and directions.safetensors (what was tried) go."""
    grader: Annotated[str, tyro.conf.arg(metavar="NAME[/CRITERION][:REFERENCE]")] = ""
    """Who tells bad answers, such as emergent/misaligned:MODEL; without it nothing is tried."""
    more_tuned: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="MODEL")] = ()
    """Another fine-tune of the base, of which the same is expected; may be given several times."""
    documents: Annotated[Path | None, tyro.conf.arg(metavar="DOCUMENTS.jsonl")] = None
    """Where examples are looked for: rows with text, or with messages; by default among the requests."""
    candidates: int = 10
    """How many of the latents that moved most are tried."""
    over: Literal["last", "template", "prompt", "response"] = "last"
    """The tokens at which latents are read: of what was asked, or of each model's own answers."""
    where: Literal["all", "prompt", "last", "generated"] = "all"
    """The tokens at which a model is pushed; small models bear more where only the last of the prompt is."""
    samples: int = 4
    """Answers to each request."""
    max_tokens: int = 128
    """The most tokens of an answer."""
    temperature: float = 1.0
    """Of the answers."""
    budget: float = 0.1
    """The largest share of senseless answers at which a push is still used."""
    most: float = 4.0
    """The strongest push, in mean norms of the activity at that layer."""
    key: int = 0
    """The seed: draws which requests choose and which test, and the answers."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print what was found as one JSON object on the last line."""

    def run(self) -> int:
        """Rank, try, write."""
        from truing.grade import open_grader
        from truing.model import Site, Where, load_local
        from truing.probe import (
            DiffConfig,
            Over,
            check_prompts,
            diff_models,
            graded_behaviour,
            latent_direction,
            load_sae,
            misaligned_by,
            read_documents,
            read_prompts,
            render_diff,
            save_directions,
            split_requests,
        )
        from truing.run import check_folder, progress, replace_file

        check_folder(self.out)
        try:
            config = DiffConfig(
                candidates=self.candidates,
                over=Over(self.over),
                where=Where(self.where),
                samples=self.samples,
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                budget=self.budget,
                most=self.most,
                key=self.key,
            )
        except ValueError as why:
            raise InputError(str(why), mend="truing probe diff --help tells the options") from None
        requests = read_prompts(self.prompts)
        split = split_requests(requests, key=self.key)
        behaviour = None
        if self.grader:
            instrument = open_grader(self.grader)
            instrument.check_criterion()
            behaviour = graded_behaviour(instrument, requests)
        saved = load_sae(self.sae)
        base, *tuned = (
            load_local(ref, device=self.device) for ref in (self.base, self.tuned, *self.more_tuned)
        )
        check_prompts(base, requests, self.prompts)
        shown = read_documents(self.documents, base.chat) if self.documents else ()
        with progress(self.candidates, "what moved", unit="latents") as advance:
            report = diff_models(
                base, tuned, saved, split, config, behaviour=behaviour, judge=self.grader,
                texts=shown, advance=advance,
            )  # fmt: skip
        if self.grader:
            report = replace(report, counts_as=misaligned_by(self.grader))
        sites = [
            latent_direction(saved, Site(report.layer, report.point), one.moved) for one in report.findings
        ]
        directions = self.out / "directions.safetensors"
        if sites:
            save_directions(directions, sites)
        replace_file(self.out / "report.json", dumps(report).encode())
        page = render_diff(report, command=self._command(), directions=str(directions))
        replace_file(self.out / "index.html", page.encode())
        return self._told(report)

    def _command(self) -> str:
        """What was asked, with the options that are not as they are by default."""
        words = ["truing", "probe", "diff", self.base, self.tuned]
        for option in fields(self)[2:]:
            value = getattr(self, option.name)
            if option.name not in ("json", "device") and value != option.default:
                for one in value if isinstance(value, tuple) else (value,):
                    words += [f"--{option.name.replace('_', '-')}", str(one)]
        return shlex.join(words)

    def _told(self, report: "DiffReport") -> int:
        from truing.probe import conclusion

        _, word, sentence = conclusion(report)
        for one in report.findings:
            print(f"latent {one.moved.latent}: {one.moved.change:+.3f}, {one.judgement}")
        print(f"{word}: {sentence}")
        print(f"{self.out / 'index.html'}")
        if self.json:
            found = [
                {"latent": f.moved.latent, "change": f.moved.change, "judgement": f.judgement}
                for f in report.findings
            ]
            print(json.dumps({"conclusion": word, "findings": found}))
        return Exit.passed if report.judged else Exit.inconclusive
