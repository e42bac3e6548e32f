"""Look inside a model: what its activations are made of."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from truing.cli.probe_sae import MeasureSAE, TrainSAE


@dataclass
class Command:
    """The actions of `truing probe`."""

    action: Annotated[
        Annotated[TrainSAE, tyro.conf.subcommand("sae")]
        | Annotated[MeasureSAE, tyro.conf.subcommand("measure-sae")],
        tyro.conf.OmitSubcommandPrefixes,
    ]

    def run(self) -> int:
        """Do it."""
        return self.action.run()
