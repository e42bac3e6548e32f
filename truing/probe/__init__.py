"""Inside a model: directions of its activations, what they cause, and what moved.

Here belong collecting activations, finding and choosing directions and latents, and the measurements
that show whether they cause anything. Hooks that read or change activations live in `model`, training
in `train`, and what a direction is used for in the rooms above.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.probe.candidates import Candidate, Chosen, choose, read_candidates, write_candidates

__getattr__, __dir__, __all__ = door(__name__, __file__)
