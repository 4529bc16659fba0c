"""An export goes to the Hugging Face Hub: its files and its card, and nothing else from their folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, SaveError
from ..extras import load_extra
from ..text import clean
from .card import README, STRIP
from .export_manifest import MANIFEST, dataset_id, read_manifest
from .export_places import Folder, digest_at, place_at

if TYPE_CHECKING:
    import os
    from pathlib import Path

_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+", re.ASCII)


def push_export(
    dataset: Path, export: str | os.PathLike[str], name: str, *, private: bool, token: str | None
) -> str:
    """Upload an export of a dataset; gives the address of its page.

    Raises:
        ConfigurationError: the name cannot be used, the folder is not a whole export, a library is missing, or
            a public dataset of that name is there already while `private` is asked for.
        SaveError: the Hub refuses, or cannot be reached.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"the dataset is called {clean(name, limit=80)}; give 'name' or 'owner/name'"
        )
    hub = load_extra("huggingface_hub", "datasets")
    place = place_at(export)
    if not isinstance(place, Folder):
        raise ConfigurationError(f"{clean(export)} is an address; export to a folder of this machine first")
    files = [*_whole(place, dataset), MANIFEST]
    files += [name for name in place.sizes([README, STRIP]) if name not in files]
    api, problem = hub.HfApi(token=token), ""
    try:
        full = str(api.create_repo(name, repo_type="dataset", private=private, exist_ok=True).repo_id)
        if private and not api.repo_info(full, repo_type="dataset").private:
            problem = "is there already and is public; private=False uploads to it"
        else:
            commit = api.upload_folder(
                repo_id=full,
                repo_type="dataset",
                folder_path=place.folder,
                allow_patterns=[_literal(file) for file in files],
                commit_message="Upload a dataset of comet_magic",
            )
            return str(commit.repo_url)
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        failed = clean(error, limit=300)
    else:
        raise ConfigurationError(f"the dataset {clean(name)} {problem}")
    raise SaveError(
        f"the upload to {clean(name)} failed: {failed}",
        outcome="not_sent",
        hint="`hf auth login` logs in; the export itself is whole.",
    )


def _whole(place: Folder, dataset: Path) -> list[str]:
    """The files of an export, each as it was written.

    Raises:
        ConfigurationError: one is missing or was changed, or the export was not finished.
    """
    manifest = read_manifest(place, dataset_id(dataset))
    if manifest.unfinished or not manifest.files:
        raise ConfigurationError(
            f"{clean(place.name)} holds no whole export of this dataset", hint="report.export(...) makes one."
        )
    for name, file in manifest.files.items():
        found = place.sizes([name]).get(name) == file.size and digest_at(place, name) == file.sha256
        if not found and name != README:  # its card has taken its place
            raise ConfigurationError(
                f"{clean(name)} is not as it was exported", hint="Export again; then push."
            )
    return list(manifest.files)


def _literal(name: str) -> str:
    """A name as a pattern that only it fits: brackets and stars are themselves."""
    return re.sub(r"([\[*?])", r"[\1]", name)
