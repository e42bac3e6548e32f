"""How far the judges that ship can be trusted: refusals, moderation, propositions, against people and the oracle.

Each part has a file of its own (`judges_PART`) with its claims and what it measures.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from evidence import judges_moderation, judges_organism, judges_refusal
from evidence.claims import Claim, Measured, Options, conclude
from truing.organism import GROUND, LabelLedger

PARTS: Mapping[str, tuple[Claim, ...]] = MappingProxyType(
    {
        "refusal": judges_refusal.CLAIMS,
        "moderation": judges_moderation.CLAIMS,
        "organism": judges_organism.CLAIMS,
    }
)
CLAIMS = tuple(
    replace(claim, name=f"{part}: {claim.name}") for part, claims in PARTS.items() for claim in claims
)
SOURCE = (
    "XSTest completions (Röttger et al. 2024, arXiv 2308.01263); RBR gold labels (Mu et al. 2024, arXiv 2411.01111); "
    "moderation evaluation set (Markov et al. 2023, arXiv 2208.03274); truing's own proving ground"
)


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Measure every part; its measures are called after it."""
    parts: Mapping[str, Callable[[Options], Measured]] = {
        "refusal": judges_refusal.measure,
        "moderation": judges_moderation.measure,
        "organism": partial(judges_organism.measure, ledger=ledger),
    }
    return {f"{part}: {name}": found for part, of in parts.items() for name, found in of(options).items()}


def main() -> int:
    """Hold the judges against the table."""
    return conclude("judges", __doc__, SOURCE, CLAIMS, measure, ground=f"of the part organism: {GROUND}")


if __name__ == "__main__":
    raise SystemExit(main())
