"""DecodingTrust (Wang et al. 2023, arXiv 2306.11698, CC BY-SA 4.0), from the `data` folder of its repository.

A file for each perspective turns what lies in its folder into items; prompts around the data are worded
here. What hurts by its mere wording (adversarial system prompts) is read from the folder or left out.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from truing.audit.suites.base import Loaded, Unmeasured
from truing.audit.suites.decodingtrust import ethics, ood, privacy, stereotype, toxicity
from truing.audit.suites.decodingtrust.parts import NAME, Part
from truing.audit.suites.sources import find_folder
from truing.types import InputError

PERSPECTIVES: Mapping[str, Callable[[Path], Part]] = {
    "toxicity": toxicity.read,
    "stereotype": stereotype.read,
    "machine_ethics": ethics.read,
    "privacy": privacy.read,
    "ood": ood.read,
}
NOT_MEASURED = {
    "adv-glue-plus-plus": "its files are not read here; TrustLLM's AdvGLUE measures the same",
    "adv_demonstration": "robustness to misleading examples in the prompt is not read here",
    "fairness": "its metric compares rates of groups over all rows together",
}


class DecodingTrust:
    """Whichever perspectives lie in the folder; the others are listed as not measured."""

    name = NAME
    version = "1"

    def load(self, source: str | None) -> Loaded:
        """Read the folder, or the folder `data` in it."""
        root = find_folder(self.name, source)
        if not any((root / name).is_dir() for name in PERSPECTIVES) and (root / "data").is_dir():
            root = root / "data"
        if not any((root / name).is_dir() for name in PERSPECTIVES):
            known = ", ".join(PERSPECTIVES)
            raise InputError(
                f"holds none of {known}", file=root, mend="name the data folder of DecodingTrust"
            )
        parts = [_part(root, name, read) for name, read in PERSPECTIVES.items()]
        left = tuple(Unmeasured(f"{self.name}/{name}", 0, why) for name, why in NOT_MEASURED.items())
        return Loaded(
            self.name,
            self.version,
            tuple(item for part in parts for item in part.items),
            {name: digest for part in parts for name, digest in part.files.items()},
            tuple(one for part in parts for one in part.unmeasured) + left,
        )


def _part(root: Path, name: str, read: Callable[[Path], Part]) -> Part:
    if not (root / name).is_dir():
        return Part(unmeasured=[Unmeasured(f"{NAME}/{name}", 0, "the folder does not hold it")])
    part = read(root / name)
    if not part.items and not part.unmeasured:
        part.unmeasured.append(Unmeasured(f"{NAME}/{name}", 0, "its folder holds no file that is read here"))
    return part
