"""Inside the model: what its activations are made of, what moves them, what they tell beforehand.

Here belong directions, sparse autoencoders and what is read from them. Reading and changing activations
belongs to `model`, the loops that train a model to `train`.
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
