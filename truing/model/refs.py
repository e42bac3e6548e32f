"""From what a user writes to a folder on this disk: paths, `hub:ID` and registered schemes."""

import re
from importlib.metadata import entry_points
from pathlib import Path

from truing.model.files import read_json
from truing.types import InputError

SCHEMES = "truing.schemes"
"""The entry-point group; an entry is a callable that maps the text after `SCHEME:` to a folder."""

_SCHEME = re.compile(r"([a-z][a-z0-9_.-]+):(.+)", re.DOTALL)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")


def find_folder(ref: str, *, revision: str | None = None, weights: bool = True) -> Path:
    """The folder that `ref` names, downloaded first where it is a Hub id (`hub:ID[@REVISION]`) not in the cache.

    A folder that exists wins over a scheme of the same spelling. Without `weights` only the small
    files of a Hub model are fetched.

    Raises:
        InputError: there is no such folder, Hub id or scheme; or a revision of what has none.
    """
    if not ref.strip() or "\0" in ref:
        raise InputError(f"{ref!r} names no model", mend="give a folder or hub:ID")
    path = Path(ref).expanduser()
    scheme = _SCHEME.fullmatch(ref)
    if not path.exists() and scheme and scheme[1] == "hub":
        name, _, pinned = scheme[2].partition("@")
        return _from_hub(name, revision or pinned or None, weights=weights)
    if revision is not None:
        raise InputError(f"only a Hub model has revisions, and {ref!r} is none", mend="write hub:ID")
    if path.is_dir():
        return path
    if path.exists():
        raise InputError("a model is a folder, and this is a file", file=path, mend=f"give {path.parent}")
    if scheme:
        return _registered(*scheme.groups())
    mend = f"write hub:{ref} for the model of that name on the Hub" if _HUB_ID.fullmatch(ref) else ""
    raise InputError("there is no such folder", file=ref, mend=mend)


def base_and_adapter(folder: Path) -> tuple[Path, Path | None]:
    """The checkpoint folder, and the adapter folder if that is what was given.

    The base an adapter names is looked for here, beside the adapter, and on the Hub.
    """
    file = folder / "adapter_config.json"
    if not file.is_file():
        return folder, None
    base = read_json(file).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError("names no base model", file=file, mend="set base_model_name_or_path to its folder")
    for place in (Path(base).expanduser(), folder / base):
        if place.is_dir():
            return place, folder
    try:
        return find_folder(f"hub:{base}"), folder
    except InputError as why:
        problem = f"its base model {base!r} is no folder here, and from the Hub: {why.problem}"
        raise InputError(problem, file=file, mend="set base_model_name_or_path to its folder") from why


def _registered(scheme: str, name: str) -> Path:
    found = {entry.name: entry for entry in entry_points(group=SCHEMES)}
    if scheme not in found:
        known = ", ".join(f"{s}:" for s in sorted({*found, "hub", "endpoint"}))
        raise InputError(f"nothing answers to {scheme}: here", mend=f"known are {known} and folders")
    folder = Path(found[scheme].load()(name))
    if not folder.is_dir():
        raise InputError(f"{scheme}:{name} gave no folder", file=folder)
    return folder


def _from_hub(name: str, revision: str | None, *, weights: bool) -> Path:
    import httpx
    from huggingface_hub import constants, errors, snapshot_download

    def fetch(*patterns: str) -> Path:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*_HUB_FILES, *patterns]))

    at = f"{name} (revision {revision})" if revision else name
    try:
        if not weights:
            return fetch()
        folder = fetch("*.safetensors")
        return folder if any(folder.glob("*.safetensors")) else fetch("*model*.bin")
    except errors.GatedRepoError as why:
        raise InputError(
            f"{name} is gated on the Hub",
            mend="accept its terms on its page and set HF_TOKEN, or give a local folder",
        ) from why
    except errors.RevisionNotFoundError as why:
        raise InputError(f"{name} has no revision {revision!r} on the Hub") from why
    except errors.RepositoryNotFoundError as why:
        problem = f"there is no model {name} on the Hub, or it is private"
        raise InputError(problem, mend="check its name, or set HF_TOKEN") from why
    except errors.HFValidationError as why:
        raise InputError(f"{name!r} is no Hub id", mend="write hub:OWNER/NAME") from why
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as why:
        if constants.HF_HUB_OFFLINE:
            raise InputError(
                f"{at} is not in the local cache, and HF_HUB_OFFLINE forbids a download",
                mend="unset HF_HUB_OFFLINE, or give a local folder",
            ) from why
        raise InputError(f"{at} is not in the local cache, and the Hub cannot be reached") from why
    except (errors.HfHubHTTPError, httpx.HTTPError, OSError) as why:
        raise InputError(f"{at} could not be fetched from the Hub ({_first_line(why)})") from why


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
