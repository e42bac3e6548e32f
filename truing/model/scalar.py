"""`ScalarModel`: a language model with one number out, such as a reward."""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from truing.model.ground import ground
from truing.model.refs import base_and_adapter, find_folder
from truing.types import Fingerprint, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from truing.model.chat import ChatFormat

_BIAS = "truing_bias"


class ScalarModel:
    """Reads the rows of a causal language model, and a linear head makes a number of the last token's state.

    `net` is transformers' `AutoModelForSequenceClassification` with `num_labels=1`, and the folder that
    `save` writes is an ordinary one of it. The head has no bias there. Where one is set, it is kept in
    the folder's config.json as `truing_bias` and added here; transformers by itself gives the number
    without it, which leaves every difference of two numbers, and every order, as it is.
    """

    def __init__(
        self, net: "PreTrainedModel", chat: "ChatFormat", fingerprint: Fingerprint, *, ref: str = ""
    ) -> None:
        self.net = net.eval()
        self.chat = chat
        self.fingerprint = fingerprint
        self.ref = ref

    def __repr__(self) -> str:
        return f"ScalarModel({self.ref or type(self.net).__name__!r}, {self.fingerprint.short})"

    @classmethod
    def load(cls, ref: str | Path, *, device: str = "auto", dtype: str = "auto") -> Self:
        """The model that a folder, `hub:ID` or `SCHEME:NAME` names, or an adapter with a head of its own.

        Raises:
            InputError: as `load`; or it is another kind of model, or has no head.
        """
        from truing.model.loading import check_installed

        check_installed()
        from truing.model.scalar_folder import open_scalar

        return cls(*open_scalar(find_folder(str(ref)), device, dtype), ref=str(ref))

    @classmethod
    def from_base(cls, ref: str | Path, key: int, *, device: str = "auto") -> Self:
        """The causal language model `ref` in float32, with a new head in the place of its logits.

        The head's weights are normal with variance 1/(D + 1), as in the reference implementation of
        Stiennon et al. 2020, and a function of the key.

        Raises:
            InputError: as `load`; or the model is an adapter, or of a kind without a scalar form.
        """
        from truing.model.loading import load_local

        folder, adapter = base_and_adapter(find_folder(str(ref)))
        if adapter:
            raise InputError("is an adapter", file=adapter, mend="merge it into its base model first")
        model = load_local(ref, device=device, dtype="float32")
        from truing.model.scalar_folder import padded_chat, with_scalar_head

        net = with_scalar_head(model.net, key, folder)
        chat = padded_chat(model.chat, net)
        return cls(net, chat, dataclasses.replace(model.fingerprint, adapter=f"head:{key}"), ref=str(ref))

    @property
    def bias(self) -> float:
        """What is added to the head's number."""
        return float(getattr(self.net.config, _BIAS, 0.0))

    @bias.setter
    def bias(self, bias: float) -> None:
        setattr(self.net.config, _BIAS, float(bias))

    @property
    def ground(self) -> str:
        """What a result on this model can claim: see `truing.model.ground.ground`."""
        return ground(self.net)

    def score(self, rows: Sequence[Sequence[int]]) -> "NDArray[np.float64]":
        """The number of each row of token ids, read at its last token [N]; NaN where the model makes NaN.

        Raises:
            ValueError: a row is empty, longer than the model's context or has a token that the model has not.
        """
        from truing.model.scalar_folder import scores

        return scores(self.net, rows) + self.bias

    def save(self, folder: Path) -> None:
        """Write the model, layers of an adapter merged into their weights, and its tokenizer.

        Plain transformers gives the same number, but for the bias, for rows that are padded with the
        tokenizer's padding token: it is one that ends no turn, since transformers reads the number at
        the last token that is not padding.
        """
        from truing.model.sharded import save_net

        net: Any = self.net
        if hasattr(net, "merge_and_unload"):
            net = copy.deepcopy(net).merge_and_unload()
        save_net(net, folder)
        self.chat.tokenizer.save_pretrained(folder)
