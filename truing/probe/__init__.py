"""Inside a model: directions of its activations, what they cause, and what moved.

Here belong collecting activations, finding and choosing directions and latents, and the measurements
that show whether they cause anything. Hooks that read or change activations live in `model`, training
in `train`, and what a direction is used for in the rooms above.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.probe.sae import SAE
    from truing.probe.sae_architectures import BatchTopK, JumpReLU, TopK
    from truing.probe.sae_config import BatchTopKConfig, JumpReLUConfig, SAEConfig, TopKConfig
    from truing.probe.sae_documents import DocumentsConfig, read_documents, saes_of_documents
    from truing.probe.sae_files import SavedSAE, load_sae, save_sae
    from truing.probe.sae_measure import SAEFigures, measure_sae
    from truing.probe.sae_training import TrainedSAE, train_saes
    from truing.probe.stream import Activations, HeldActivations, TokenActivations

__getattr__, __dir__, __all__ = door(__name__, __file__)
