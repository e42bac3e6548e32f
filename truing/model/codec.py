"""Text to token ids and back, such that what people wrote never becomes a control token."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Unicode noncharacters, reserved for a program's own use: they wrap control tokens spelt out in content
# while the template is rendered, and are never encoded.
_LITERAL, _END = "\ufdd0", "\ufdd1"
_UNENCODABLE = re.compile(f"[\ud800-\udfff{_LITERAL}{_END}]")


class Codec:
    """Encodes rendered templates in which `mark` has set apart what people wrote.

    A special token spelt out in a message ("<|im_end|>") is encoded as the plain characters it
    consists of and cannot end a turn. Lone surrogates, which no tokenizer takes, become U+FFFD.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self.tokenizer = tokenizer
        added: dict[int, Any] = tokenizer.added_tokens_decoder
        self.special = {token.content: id for id, token in added.items() if token.special}
        spellings = "|".join(re.escape(t) for t in sorted(self.special, key=len, reverse=True) if t)
        self._special = re.compile(spellings or "(?!)")
        self._control = re.compile(f"(?<!{_LITERAL})(?:{spellings or '(?!)'})")
        self._marked = re.compile(f"{_LITERAL}({spellings or '(?!)'}){_END}")
        self.bos_id: int | None = tokenizer.bos_token_id
        self.adds_bos = self.bos_id is not None and tokenizer("x").input_ids[:1] == [self.bos_id]
        # SentencePiece models put a space before every text, also before a piece from the middle of one.
        newline = self._plain("\n")
        self._adds_space = self._plain("\nx")[len(newline) :] != self._plain("x")

    def mark(self, value: Any) -> Any:
        """`value` (text, or JSON holding text) made fit for a template: see the class."""
        if isinstance(value, str):
            text = _UNENCODABLE.sub("\ufffd", value)
            return self._special.sub(f"{_LITERAL}\\g<0>{_END}", text)
        if isinstance(value, dict):
            return {key: self.mark(v) for key, v in value.items()}
        if isinstance(value, list):
            return [self.mark(v) for v in value]
        return value

    def control_tokens(self, text: str) -> list[re.Match[str]]:
        """The control tokens that a template wrote into `text`, those spelt out in content left out."""
        return list(self._control.finditer(text))

    def encode(self, segments: Sequence[str]) -> list[list[int]]:
        """Token ids of each segment of one marked text, no token reaching over a border.

        A BOS is put first where the tokenizer is in the habit of writing one and the text does not.
        """
        encoded: list[list[int]] = []
        before = ""
        for segment in segments:
            ids: list[int] = []
            for i, piece in enumerate(self._marked.split(segment)):
                literal = i % 2 == 1
                # A template that cuts content apart may leave half a pair of marks behind.
                piece = piece.replace(_LITERAL, "").replace(_END, "")
                if piece:
                    ids += self._literal(piece) if literal else self._after(before, piece)
                    before = "\n" if literal else piece
            encoded.append(ids)
        if self.adds_bos and encoded and encoded[0][:1] != [self.bos_id]:
            assert self.bos_id is not None
            encoded[0].insert(0, self.bos_id)
        return encoded

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` without special tokens, spaces as they are."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text

    def _literal(self, token: str) -> list[int]:
        ids = self._after("\n", token, split_special_tokens=True)
        if self.special[token] in ids:
            raise InputError(f"this tokenizer cannot write {token!r} as plain text")
        return ids

    def _after(self, before: str, text: str, **options: bool) -> list[int]:
        """Ids of `text` as they are in the middle of a text, after `before`."""
        if not before or not self._adds_space:
            return self._plain(text, **options)
        anchor = next((token for token in self.special if before.endswith(token)), "\n")
        head, ids = self._plain(anchor), self._plain(anchor + text, **options)
        return ids[len(head) :] if ids[: len(head)] == head else self._plain(text, **options)

    def _plain(self, text: str, **options: bool) -> list[int]:
        ids = self.tokenizer(text, add_special_tokens=False, **options).input_ids
        assert isinstance(ids, list)
        return ids
