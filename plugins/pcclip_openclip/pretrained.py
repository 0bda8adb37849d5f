"""Which weights a model gets: a tag's, fetched from the hub or its cache, or a local file's."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip

from pcclip.errors import MissingDependencyError, PcclipError, UsageError

# The tag a model gets when none is asked for: the first of these it has, else its first.
PREFERRED = ("datacomp_xl_s13b_b90k", "laion2b_s34b_b88k", "laion2b_s32b_b79k", "dfn5b", "webli", "openai")
FILE_ENDINGS = (".safetensors", ".pt", ".pth", ".bin")
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a model's weights lie, and what has to be known to use them.

    Attributes:
        source: the tag or the path, as the user knows it.
        path: the file.
        quick_gelu: the activation they were trained with.
        preprocessing: what differs from open_clip's default preprocessing.
    """

    source: str
    path: Path
    quick_gelu: bool
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


def architecture_name(variant: str) -> str:
    """Return open_clip's own name for one of :data:`pcclip_openclip.names.NAMES`.

    Raises:
        MissingDependencyError: the installed open_clip does not have that model.
    """
    for name in open_clip.list_models():
        if name.lower() == variant.lower():
            return str(name)
    raise MissingDependencyError(
        f"open_clip {open_clip.__version__} has no model {variant!r}",
        "Get a newer one: pip install --upgrade open_clip_torch",
    )


def default_tag(architecture: str) -> str | None:
    """Return the tag a model gets when none is asked for, or None where open_clip has no weights for it."""
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    return next((tag for tag in PREFERRED if tag in tags), tags[0] if tags else None)


def find(architecture: str, pretrained: str | None, quick_gelu: bool | None) -> Weights:
    """Return the weights of ``architecture`` that ``pretrained`` names: a path, a tag, or None for the default.

    Raises:
        UsageError: there is no such file and no such tag, or the file is of an unknown kind.
        PcclipError: the tag's weights are neither in the cache nor to be had from the hub.
    """
    tag = pretrained or default_tag(architecture)
    if tag is None:
        raise UsageError(
            f"open_clip brings no pretrained weights for {architecture!r}",
            "Give a local weights file: --backbone-pretrained PATH",
        )
    config = open_clip.get_pretrained_cfg(architecture, tag)
    if config:
        if quick_gelu is not None and quick_gelu != bool(config.get("quick_gelu")):
            raise UsageError(
                f"tag {tag!r} of {architecture} was trained {'with' if config.get('quick_gelu') else 'without'} "
                f"QuickGELU, but quick_gelu={quick_gelu} was asked for",
                "Leave quick_gelu out; it is for local files.",
            )
        return Weights(tag, _fetch(architecture, tag, config), bool(config.get("quick_gelu")), config)
    return _local(architecture, tag, quick_gelu)


def _local(architecture: str, given: str, quick_gelu: bool | None) -> Weights:
    path = Path(given).expanduser()
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not path.is_file():
        looks_like_path = path.exists() or path.suffix in FILE_ENDINGS or os.sep in given
        if path.is_dir():
            raise UsageError(f"{path} is a folder, not a weights file", f"Name a file in it: {_listed_files(path)}")
        if looks_like_path:
            raise UsageError(f"there is no weights file {given!r}", f"Tags of {architecture}: {_listed(tags)}")
        close = difflib.get_close_matches(given.lower().replace("-", "_"), tags, n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(
            f"{given!r} is neither a file nor a tag of {architecture}", f"{meant}There are: {_listed(tags)}"
        )
    if path.suffix not in FILE_ENDINGS:
        raise UsageError(f"{path} does not look like a weights file", f"Known endings: {', '.join(FILE_ENDINGS)}")
    model_config: Mapping[str, Any] = open_clip.get_model_config(architecture) or {}
    # Without a config beside the file, the preprocessing of the model's usual weights is the best guess.
    usual = default_tag(architecture)
    preprocessing: Mapping[str, Any] = open_clip.get_pretrained_cfg(architecture, usual) if usual else {}
    beside = path.parent / "open_clip_config.json"
    if beside.is_file():
        try:
            found = json.loads(beside.read_text("utf-8"))
            preprocessing = dict(found.get("preprocess_cfg") or preprocessing)
            model_config = dict(found.get("model_cfg") or model_config)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise PcclipError(f"{beside} cannot be read: {error}", "Mend it, or move the weights elsewhere.") from None
    if quick_gelu is None:
        quick_gelu = bool(model_config.get("quick_gelu"))
    return Weights(str(path), path, quick_gelu, preprocessing)


def _fetch(architecture: str, tag: str, config: Mapping[str, Any]) -> Path:
    """Return the file of a tag: from the hub's cache, else from the hub if it answers."""
    for name in _candidates(config):
        cached = _from_hub(name, local=True)
        if cached is not None:
            return cached
    cause = unreachable(_endpoint(config))
    if cause is None:
        try:
            for name in _candidates(config):
                found = _from_hub(name, local=False)
                if found is not None:
                    return found
            return Path(open_clip.download_pretrained(dict(config)))
        except Exception as error:  # the hub's client, httpx, urllib and ssl each bring their own family
            cause = " ".join(str(error).split())[:300] or type(error).__name__
    raise PcclipError(
        f"the weights of {architecture} ({tag}) are not on this machine and cannot be downloaded: {cause}",
        "Ways out: go online once; give a local weights file with --backbone-pretrained PATH "
        f"({', '.join(FILE_ENDINGS)}); or take the backbone that needs no download: --backbone mini",
    )


def _candidates(config: Mapping[str, Any]) -> list[str]:
    """Return ``owner/repo/file`` names to look for on the hub, safe formats first."""
    place = str(config.get("hf_hub") or "")
    if not place:
        return []
    repo, _, name = place.rpartition("/")
    if not name:
        return [f"{repo}/open_clip_model.safetensors", f"{repo}/open_clip_pytorch_model.bin"]
    stem, _, ending = name.rpartition(".")
    safe = [f"{repo}/{stem}.safetensors"] if ending in ("bin", "pth") else []
    return [*safe, place]


def _from_hub(name: str, *, local: bool) -> Path | None:
    """Return a hub file's path, or None where the cache (or the repository) does not hold it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repo, _, file = name.rpartition("/")
    try:
        return Path(hf_hub_download(repo, file, local_files_only=local))
    except LocalEntryNotFoundError:
        if local:
            return None
        raise
    except EntryNotFoundError:
        return None


def _endpoint(config: Mapping[str, Any]) -> str:
    if config.get("hf_hub"):
        return os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return str(config.get("url") or "https://huggingface.co")


def unreachable(url: str | None = None) -> str | None:
    """Say within seconds why a server cannot be reached, or None where it answers.

    The hub's own client retries for most of a minute, and a resolver that is cut off may hang longer
    than any timeout of a socket; so one request is made, aside, and not waited for.
    """
    url = url or os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return "HF_HUB_OFFLINE is set"
    answer: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "pcclip"})
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE):
                answer.append(None)
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                answer.append(None)  # any answer will do
        except (OSError, ValueError) as error:
            answer.append(f"no answer from {url} ({getattr(error, 'reason', error)})")

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(_PATIENCE + 1)
    return answer[0] if answer else f"no answer from {url} within {_PATIENCE:g} s"


def _listed(tags: list[str]) -> str:
    return ", ".join(tags) or "none"


def _listed_files(folder: Path) -> str:
    files = sorted(path.name for path in folder.iterdir() if path.suffix in FILE_ENDINGS)
    return ", ".join(files[:10]) or "there is none here"
