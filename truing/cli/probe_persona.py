"""`truing probe persona`: the vector of a persona that system prompts ask for, and where it is most pronounced."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from truing.cli.app import Exit
from truing.types import InputError

if TYPE_CHECKING:
    from truing.model import Site
    from truing.probe import Contrast

_SHOWN = 5

Texts = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TEXT")]


@dataclass
class Persona:
    """Find the vector of a persona from system prompts that ask for it and for its opposite."""

    model: Annotated[str, tyro.conf.Positional]
    """A folder, hub:ID or organism:NAME."""
    persona: Texts
    """A system prompt that asks for the persona; may be given several times."""
    opposite: Texts
    """A system prompt that asks for its opposite; may be given several times."""
    prompts: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Requests, each asked under every system prompt: JSONL, or a JSON list, with a prompt or an instruction."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where persona.safetensors and sites.json go."""
    name: str = "persona"
    """What it is called in the file."""
    over: Literal["last", "response"] = "last"
    """Read at the last token of the prompt, or over what the model answers under the system prompts."""
    site: Annotated[str, tyro.conf.arg(metavar="LAYER.POINT")] = ""
    """Such as 2.attention, 2.mlp or 2.resid_post, layers from 0; by default where it is most pronounced."""
    max_tokens: int = 64
    """The longest answer, for --over response."""
    key: int = 0
    """Decides the answers, for --over response."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print the site as one JSON object on the last line."""

    def run(self) -> int:
        """Read both sides, rank the sites, and write the vector of one."""
        from truing.model import load_local
        from truing.probe import Over, check_prompts, persona_contrasts, read_prompts, save_directions
        from truing.run import check_folder, replace_file
        from truing.types import SamplingParams

        if self.max_tokens < 1:
            raise InputError(f"max-tokens is at least 1, not {self.max_tokens}")
        check_folder(self.out)
        requests = read_prompts(self.prompts)
        site = _site(self.site) if self.site else None
        model = load_local(self.model, device=self.device)
        if site is not None and not 0 <= site.layer < len(model.trunk.layers):
            last = len(model.trunk.layers) - 1
            raise InputError(f"there is no layer {site.layer}", mend=f"the model has the layers 0 to {last}")
        answer = self.max_tokens if self.over == "response" else 0
        check_prompts(model, requests, self.prompts, system=(*self.persona, *self.opposite), answer=answer)
        found = persona_contrasts(
            model,
            requests,
            self.persona,
            self.opposite,
            name=self.name,
            over=Over(self.over),
            sites=[] if site is None else [site],
            params=SamplingParams(temperature=1.0, max_tokens=self.max_tokens),
            key=self.key,
        )
        file = self.out / "persona.safetensors"
        save_directions(file, [found[0].direction])
        replace_file(self.out / "sites.json", json.dumps([_row(one) for one in found]).encode("ascii"))
        for one in found[:_SHOWN]:
            row = _row(one)
            print(
                f"{row['site']}: {row['relative']:.2f} of the activations there, length {row['length']:.3g}"
            )
        print(f"{file} holds that of {_row(found[0])['site']}")
        words = ["--direction", str(file), "--prompts", str(self.prompts), "--out", "watch.json"]
        base = shlex.quote(self.model)
        print(f"next: truing probe calibrate-watch {base} --harmless FOLDER ... {shlex.join(words)}")
        if self.json:
            print(json.dumps(_row(found[0])))
        return Exit.passed


def _row(one: "Contrast") -> dict[str, str | float]:
    site = one.direction.site
    return {
        "site": f"{site.layer}.{site.point}",
        "relative": one.relative,
        "length": one.direction.norm,
    }


def _site(told: str) -> "Site":
    from truing.model import Point, Site

    layer, _, point = told.partition(".")
    try:
        return Site(int(layer), Point(point))
    except ValueError:
        points = ", ".join(Point)
        raise InputError(
            f"{told!r} is no site", mend=f"write LAYER.POINT, the point one of {points}"
        ) from None
