"""`truing probe sae` and `truing probe measure-sae`: train a sparse autoencoder, and measure one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from truing.cli.app import Exit
from truing.types import InputError

if TYPE_CHECKING:
    from truing.probe import DocumentsConfig, SAEFigures


@dataclass
class TrainSAE:
    """Train a sparse autoencoder on the activations of one layer, and measure it on held-out documents."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A folder, hub:ID or organism:NAME."""
    documents: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DOCUMENTS.jsonl")]
    """Rows with text, or with messages."""
    layer: int
    """The layer that is read, from 0."""
    width: int
    """How many latents."""
    k: int
    """How many of them are active for a token, on average."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where cfg.json, sae_weights.safetensors (SAELens' layout), report.json and timing.json go."""
    point: Literal["resid_post", "attention", "mlp"] = "resid_post"
    """The residual stream that the layer puts out, or what its attention or its MLP adds to it."""
    architecture: Literal["batchtopk", "topk", "jumprelu"] = "batchtopk"
    """How the active latents are chosen."""
    passes: int = 1
    """How often every document is read."""
    batch: int = 4096
    """Tokens of a step."""
    learning_rate: float | None = None
    """The highest learning rate; by default 2e-4 / sqrt(width / 16384)."""
    dead_after: int | None = None
    """A latent that was active for none of so many tokens is revived; by default 250000, or a tenth of all."""
    held_out: float = 0.1
    """The share of the documents that is not trained on."""
    tokens: Literal["all", "starts"] = "all"
    """All tokens, or those alone from which an assistant turn begins, where a model decides who answers."""
    first: int = 1
    """The first position of a document that counts, of all tokens."""
    special: bool = False
    """Let special tokens count, too, of all tokens."""
    seed: int = 0
    """Draws the first weights, what is held out, and the order."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print the report's figures as one JSON object on the last line."""

    def run(self) -> int:
        """Train, measure, write."""
        from truing.model import Point, Site, load_local
        from truing.probe import (
            BatchTopKConfig,
            DocumentsConfig,
            JumpReLUConfig,
            TopKConfig,
            read_documents,
            saes_of_documents,
        )
        from truing.run import check_folder

        check_folder(self.out)
        kind = {"batchtopk": BatchTopKConfig, "topk": TopKConfig, "jumprelu": JumpReLUConfig}[
            self.architecture
        ]
        options = DocumentsConfig(
            tokens=self.tokens,
            passes=self.passes,
            first=self.first,
            special=self.special,
            held_out=self.held_out,
            batch=self.batch,
            key=self.seed,
        )
        model = load_local(self.model, device=self.device)
        _check_layer(self.layer, len(model.trunk.layers))
        documents = read_documents(self.documents, model.chat, self.tokens)
        places = [one.starts if self.tokens == "starts" else one.ids for one in documents]
        tokens = self.passes * sum(map(len, places))
        dead_after = self.dead_after or min(250_000, max(self.batch, tokens // 10))
        config = kind(
            self.width, self.k, learning_rate=self.learning_rate, dead_after=dead_after, key=self.seed
        )
        site = Site(self.layer, Point(self.point))
        found = saes_of_documents(model, documents, site, [config], self.out, options)[0]
        print(f"{self.out}: open it with truing.probe.load_sae, or with SAELens")
        _tell(found, as_json=self.json)
        return Exit.passed


@dataclass
class MeasureSAE:
    """Measure a sparse autoencoder on documents: of the model it was trained on, or of another one."""

    sae: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """The autoencoder's folder, ours or SAELens'."""
    documents: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DOCUMENTS.jsonl")]
    """Rows with text, or with messages."""
    model: str = ""
    """The model; by default the one that the folder names."""
    layer: int | None = None
    """The layer that is read, from 0; by default the one that the folder names. The point is the folder's."""
    tokens: Literal["all", "starts"] | None = None
    """All tokens, or those from which an assistant turn begins; by default those it was trained on."""
    first: int | None = None
    """The first position of a document that counts, of all tokens; by default as in its training, else 1."""
    special: bool = False
    """Let special tokens count, too, of all tokens; they always do where they did in its training."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print the figures as one JSON object on the last line."""

    def run(self) -> int:
        """Read at most 65,536 tokens and measure."""
        from truing.model import Site, load_local
        from truing.probe import document_activations, load_sae, measure_sae, read_documents

        saved = load_sae(self.sae)
        name = self.model or saved.model
        site, hook = saved.site, saved.metadata.get("hook_name")
        if site is None and hook:
            raise InputError(f"is of {hook}, which is no site that is known here", file=self.sae)
        if self.layer is not None:
            site = Site(self.layer) if site is None else replace(site, layer=self.layer)
        if not name or site is None:
            raise InputError("names no model or no layer", file=self.sae, mend="give --model and --layer")
        options = self._options(saved.options)
        model = load_local(name, device=self.device)
        _check_layer(site.layer, len(model.trunk.layers))
        documents = read_documents(self.documents, model.chat, options.tokens)
        stream = document_activations(model, documents, site, options)
        if stream.width != saved.sae.dim:
            problem = f"is of activations of width {saved.sae.dim}, and {name} has {stream.width}"
            raise InputError(problem, file=self.sae, mend="give the model that it is of")
        held = stream.block(0)
        _tell(measure_sae(saved.sae.to(held.device), held), as_json=self.json)
        return Exit.passed

    def _options(self, trained: Mapping[str, Any]) -> "DocumentsConfig":
        """The tokens that it was trained on, but for what is asked for."""
        from truing.probe import DocumentsConfig

        tokens = self.tokens or trained.get("tokens", "all")
        if tokens != trained.get("tokens", "all"):
            trained = {}
        first = trained.get("first", 1) if self.first is None else self.first
        return DocumentsConfig(
            tokens=tokens, first=first, special=self.special or trained.get("special", False)
        )


def _check_layer(layer: int, layers: int) -> None:
    if not 0 <= layer < layers:
        raise InputError(f"there is no layer {layer}", mend=f"the model has the layers 0 to {layers - 1}")


def _tell(found: "SAEFigures", *, as_json: bool) -> None:
    print(
        f"explained variance {found.explained_variance:.3f}, L0 {found.l0:.1f}, "
        f"dead {found.dead_share:.1%}, on {found.tokens} tokens"
    )
    if as_json:
        print(json.dumps(found.to_json()))
