"""Who writes the answers that a policy is trained on: the policy itself, or a server that is given its weights.

The server's side was written after vLLM's documentation and is tested against a server of our own that speaks
the same calls; it was not run on a real vLLM.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from truing.model.endpoint import EndpointModel
from truing.types import Completion, EndpointError, Fingerprint, InputError, Request, SamplingParams

if TYPE_CHECKING:
    from truing.model.local import LocalModel

TRAINABLE = {"return_token_ids": True}
"""What an endpoint is asked for besides (`EndpointModel(extra=...)`), so that its answers can be trained on."""
_PROBED = 4
_APART = 0.1
"""Nats per token: kernels and types of two engines differ by hundredths, other weights by more."""


class RolloutEngine(Protocol):
    """Samples from the policy as it was at the last `sync`."""

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """As `Sampler.sample`; a completion without an error has token ids, those of its prompt too."""

    def sync(self, policy: "LocalModel") -> None:
        """Give the sampler the weights that the policy has now; before every rollout."""


class EndpointRollout:
    """A vLLM server writes, with the adapter or the weights that the policy last had.

    Nothing is taken on trust. The prompt that the server says it has read must be, token by token, what the
    policy is trained on; text without its token ids is refused, because tokenised anew it need not be
    what was sampled; and the first answers after a `sync` must be about as likely to the policy as the
    server says: one that goes on with old weights answers 200 as well.

    With an adapter, each version is loaded under a name of its own (`/v1/load_lora_adapter`) and the one
    before is unloaded. Without, the weights are written to `folder`, which the server was started on, and
    read again (sleep at level 2, `reload_weights`, `/reset_prefix_cache`).

    Raises:
        InputError: the endpoint is not asked for token ids and log-probabilities.
    """

    def __init__(self, endpoint: EndpointModel, folder: Path, *, adapter: Any | None = None) -> None:
        """Of the endpoint, `EndpointModel(url, name, logprobs=True, extra=TRAINABLE)`.

        Args:
            endpoint: the server; with an adapter, `name` is that of its base model.
            folder: where versions are written; the server sees it under the same path.
            adapter: the `PeftModel` around the policy; None gives it whole weights.
        """
        if not endpoint.asks_logprobs or endpoint.extra.get("return_token_ids") is not True:
            mend = "EndpointModel(url, name, logprobs=True, extra=TRAINABLE)"
            raise InputError("rollouts need token ids and log-probabilities of the endpoint", mend=mend)
        self._base = self._endpoint = endpoint
        self._folder, self._adapter = folder, adapter
        self._policy: LocalModel | None = None
        self._version = 0
        self._unproved: list[Completion] | None = None

    @classmethod
    def from_ref(cls, ref: str, folder: Path, *, adapter: Any | None = None) -> Self:
        """The server of a reference `endpoint:URL#MODEL`, asked for what can be trained on.

        Raises:
            InputError: the reference has another form, or its URL cannot be used.
        """
        return cls(EndpointModel.from_ref(ref, logprobs=True, extra=TRAINABLE), folder, adapter=adapter)

    def sync(self, policy: "LocalModel") -> None:
        """Write the weights, have the server read them, and forget that it was right before.

        Raises:
            EndpointError: the server refuses; the sentence says which of its switches may be missing.
            StorageError: the disk refuses.
        """
        self._version += 1
        self._policy, self._unproved = policy, []
        if self._adapter is None:
            self._reload(policy)
        else:
            self._load(self._adapter)

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """As `EndpointModel.sample`; what cannot be trained on is a row with an error.

        Raises:
            EndpointError: as there; or what came back is not of the policy's weights.
        """
        if self._policy is None:
            raise ValueError("`sync` comes first")
        prompts = {request.id: self._policy.chat.prompt_ids(request) for request in requests}
        for completion in self._endpoint.sample(requests, params, key=key):
            problem = "" if completion.error else _unfit(completion, prompts[completion.request_id])
            if problem:
                completion = Completion.failed(
                    completion.request_id, problem, completion.model, sample=completion.sample
                )
            elif not completion.error:
                self._prove(completion)
            yield completion

    def _prove(self, completion: Completion) -> None:
        """Compare the first answers after a `sync` with the policy's own log-probabilities."""
        if self._unproved is None or self._policy is None:
            return
        self._unproved.append(completion)
        if len(self._unproved) < _PROBED:
            return
        self.check(self._policy, self._unproved)
        self._unproved = None

    def check(self, policy: "LocalModel", completions: Sequence[Completion]) -> float:
        """The mean distance of the server's log-probabilities from the policy's, in nats per token.

        Raises:
            EndpointError: they are those of other weights.
        """
        ids = [(c.prompt_ids or (), c.token_ids or ()) for c in completions]
        ours = policy.score([prompt for prompt, _ in ids], [answer for _, answer in ids])
        theirs = [c.logprobs or () for c in completions]
        apart = [
            abs(a - b) for row, said in zip(ours, theirs, strict=True) for a, b in zip(row, said, strict=True)
        ]
        mean = sum(apart) / len(apart)
        if not mean <= _APART:
            raise EndpointError(
                f"{self._endpoint!r} does not have the policy's weights: its log-probabilities are {mean:.2f} "
                "nats per token away from the policy's; see docs/scale.md on how it is started"
            )
        return mean

    def _load(self, adapter: Any) -> None:
        from truing.model.sharded import save_net

        before = self._endpoint.model if self._version > 1 else ""
        name = f"truing-{self._version}"
        save_net(adapter, self._folder / name)
        body = {"lora_name": name, "lora_path": str((self._folder / name).resolve())}
        hint = "is it started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True?"
        self._base.command("/v1/load_lora_adapter", body, hint=hint)
        self._endpoint = self._base.renamed(name, self._named(name))
        if before:
            self._base.command("/v1/unload_lora_adapter", {"lora_name": before}, hint=hint)
            shutil.rmtree(self._folder / before, ignore_errors=True)

    def _reload(self, policy: "LocalModel") -> None:
        from truing.model.sharded import save_net

        save_net(policy.net, self._folder)
        hint = "is it started with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode?"
        for path, body in (
            ("/sleep?level=2", None),
            ("/wake_up?tags=weights", None),
            ("/collective_rpc", {"method": "reload_weights"}),
            ("/wake_up?tags=kv_cache", None),
            ("/reset_prefix_cache", None),
        ):
            self._base.command(path, body, hint=hint)
        name = f"weights-{self._version}"
        self._endpoint = self._base.renamed(self._base.model, self._named(name))

    def _named(self, version: str) -> Fingerprint:
        return replace(self._base.fingerprint, adapter=version)


def _unfit(completion: Completion, prompt: tuple[int, ...]) -> str:
    """Why a completion cannot be trained on, or nothing."""
    if completion.token_ids is None or completion.prompt_ids is None:
        return "the endpoint sent no token ids, and text tokenised anew is not what was sampled"
    if completion.prompt_ids != prompt:
        return (
            f"the endpoint read another prompt ({len(completion.prompt_ids)} tokens) than the policy is trained on "
            f"({len(prompt)} tokens): its chat template is another"
        )
    if completion.logprobs is None:
        return "the endpoint sent no log-probabilities that belong to its token ids"
    return ""
