"""Where raw files are found, how they are fetched, and what their content is called.

A folder that the user gave is only read. What is downloaded or computed goes to the cache folder:
``$GNN_BENCH_CACHE``, else ``gnn-explainer-bench`` under ``$XDG_CACHE_HOME`` or ``~/.cache``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import InMemoryDataset

Content = TypeVar("Content")

ROOT_VARIABLE = "GNN_BENCH_DATA"
CACHE_VARIABLE = "GNN_BENCH_CACHE"
# SHA-256 of further pickles that may be opened, separated by blanks; `--trust-data` sets it.
TRUST_VARIABLE = "GNN_BENCH_TRUST_DATA"

# Seconds without an answer after which a download counts as failed: behind a firewall that drops
# packets, PyG's downloader would wait for ever.
DOWNLOAD_TIMEOUT = 20.0


class Unavailable(RuntimeError):
    """A dataset that is neither here nor can be downloaded; the message says what to put where."""


@dataclass(frozen=True)
class Source(Generic[Content]):
    """The raw files of one dataset; a PyG class's are in ``ROOT/<class>/<name>/raw/``.

    Those of a class for one dataset only, which takes no name, are in ``ROOT/<class>/raw/``.

    Args:
        name: The dataset's name; for PyG's class, if that downloads it.
        files: Each file wanted with its SHA-256, or None where any content is welcome. Pin what is
            a pickle: opening an unknown one runs its code.
        read: Makes the content from the folder of the files, writing nothing; ValueError if they
            are malformed.
        dataset: The PyG class that downloads them, called as ``dataset(root, name)``, or as
            ``dataset(root)`` if ``name`` is its own; None if these very files cannot be downloaded.
        folder: Of the files, relative to a data root; to be given if there is no ``dataset``.
    """

    name: str
    files: Mapping[str, str | None]
    read: Callable[[Path], Content]
    dataset: type[InMemoryDataset] | None = None
    folder: Path = Path()

    def __post_init__(self) -> None:
        if self.dataset is not None:
            object.__setattr__(self, "folder", Path(self.dataset.__name__, *self.named, "raw"))

    @property
    def named(self) -> tuple[str, ...]:
        """The name as PyG's class takes it; none if it is the class's own."""
        own = self.dataset is not None and self.dataset.__name__ == self.name
        return () if own else (self.name,)

    @property
    def title(self) -> str:
        """What messages call the dataset."""
        return " ".join([*([self.dataset.__name__] if self.dataset else []), *self.named])

    @property
    def paths(self) -> list[str]:
        """The files, relative to a data root."""
        return [(self.folder / name).as_posix() for name in self.files]


def data_root(root: str | os.PathLike[str] | None) -> Path:
    """The folder to look for raw files in: ``root``, else ``$GNN_BENCH_DATA``, else ``data``.

    Raises:
        ValueError: ``root`` was given and is not a folder.
    """
    if root is None:
        return Path(os.environ.get(ROOT_VARIABLE) or "data").expanduser()
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"data root {str(root)!r} is not a folder; create it, or leave it out to use "
            f"${ROOT_VARIABLE} or data/"
        )
    return folder


def cache_dir() -> Path:
    """The folder for downloads and checkpoints; it may not exist yet."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder).expanduser()
    # The XDG specification has relative paths ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "gnn-explainer-bench"


def read_raw(source: Source[Content], root: Path | None) -> tuple[Content, dict[str, str]]:
    """The content of ``source`` and each file's SHA-256.

    The files are looked for in the data root, then in the cache; else they are downloaded.

    Raises:
        Unavailable: The files are not there and cannot be downloaded.
        ValueError: The files are there but malformed, or not the pinned ones.
    """
    wanted = data_root(root) / source.folder
    cached = _cached(source)
    for folder in (wanted, cached):
        if not _missing(source, folder):
            return _read(source, folder)
    try:
        return _download(source, cached)
    # Whatever went wrong (no route, a timeout, a proxy's error page, a full disk), the answer is
    # the same: this task cannot run here, the others can.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise Unavailable(
            f"the dataset {source.title} is not here and cannot be downloaded ({reason}); put "
            f"{', '.join(_missing(source, wanted))} into the folder {wanted}, or name another data "
            f"root with --data-root or ${ROOT_VARIABLE}"
        ) from error


def whereabouts(sources: Sequence[Source[Any]], root: Path | None) -> str:
    """Where a task's raw files are; nothing is read.

    ``built-in`` if it needs none, ``file`` if they are in the data root, ``cache`` if in the cache;
    else ``download``, or ``missing`` where they cannot be downloaded: as the worst of the sources.
    """
    words = ("built-in", "file", "cache", "download", "missing")
    rank = 0
    for source in sources:
        if not _missing(source, data_root(root) / source.folder):
            found = "file"
        elif not _missing(source, _cached(source)):
            found = "cache"
        else:
            found = "missing" if source.dataset is None else "download"
        rank = max(rank, words.index(found))
    return words[rank]


def _cached(source: Source[Any]) -> Path:
    return cache_dir() / "datasets" / source.folder


def _missing(source: Source[Any], folder: Path) -> list[str]:
    return [name for name in source.files if not (folder / name).is_file()]


def _read(source: Source[Content], folder: Path) -> tuple[Content, dict[str, str]]:
    """Reads files that are all there; see :func:`read_raw`."""
    # From copies that nobody else writes to: what is read is what was hashed.
    with tempfile.TemporaryDirectory(prefix="gnn-explainer-bench-") as private:
        for name in source.files:
            shutil.copyfile(folder / name, Path(private, name))
        hashes = {name: file_sha256(Path(private, name)) for name in source.files}
        _check_pins(source, folder, hashes)
        try:
            return source.read(Path(private)), hashes
        except ValueError as error:
            raise ValueError(str(error).replace(private, str(folder))) from error
        # Malformed files fail in many ways; what they have in common is that this is the reason.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(
                f"the files of {source.title} in {folder} are malformed ({reason}); replace them "
                "with the originals"
            ) from error


def _check_pins(source: Source[Any], folder: Path, hashes: Mapping[str, str]) -> None:
    """Raises if a pinned file is another."""
    for name, pinned in source.files.items():
        if pinned is not None and hashes[name] not in (pinned, *trusted()):
            raise ValueError(
                f"{folder / name} is not opened: its SHA-256 is {hashes[name]}, not the known "
                f"{pinned}, and opening a pickle can run code; replace it with the original or, if "
                f"you know who made it, add --trust-data {hashes[name]}"
            )


def trusted() -> list[str]:
    """SHA-256 of the pickles that the user lets be opened, besides the pinned ones."""
    return os.environ.get(TRUST_VARIABLE, "").lower().split()


def _download(source: Source[Content], folder: Path) -> tuple[Content, dict[str, str]]:
    """Fetches the files of ``source`` into ``folder``, and reads them."""
    if source.dataset is None:
        raise OSError("no published file is the one wanted")
    # PyG's classes process in their constructors, which would unpickle what has just come from the
    # network, unverified; only the download is wanted.
    raw_only = type(
        "RawOnly",
        (source.dataset,),
        {"_process": lambda self: None, "load": lambda self, *_, **__: None},
    )
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the final place and moved there only after they have been read: a broken or
    # interrupted download leaves nothing that could be taken for the dataset.
    with tempfile.TemporaryDirectory(prefix="download-", dir=folder.parent) as temporary:
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        try:
            raw_only(temporary, *source.named)
        finally:
            socket.setdefaulttimeout(timeout)
        fetched = Path(temporary, *source.named, "raw")
        if missing := _missing(source, fetched):
            raise OSError(f"the download brought no {', '.join(missing)}")
        result = _read(source, fetched)
        for name in source.files:
            (fetched / name).replace(folder / name)
    return result


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(hashes: Mapping[str, str]) -> str:
    """SHA-256 over several files' names and SHA-256."""
    listing = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(listing.encode()).hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values; the order of the names does not matter.

    Unlike that of a file written by ``torch.save``, it does not depend on torch's file format.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Runs its body with every global CPU generator seeded, then restores their states.

    For code that draws from the global generators of torch, numpy and Python, such as PyG's. The
    GPUs' generators are not touched (``torch.manual_seed`` would reset them).
    """
    # NPY002 advises against numpy's global generator, which is exactly what must be tamed here.
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def split(y: Tensor, share: float = 0.8) -> tuple[Tensor, Tensor]:
    """Masks of a random ``share`` of each class, and of the rest; always the same."""
    train = torch.zeros(y.numel(), dtype=torch.bool)
    rng = np.random.RandomState(0)
    for label in range(int(y.max()) + 1):
        members = rng.permutation((y == label).nonzero().flatten().numpy())
        train[torch.from_numpy(members[: round(share * len(members))])] = True
    return train, ~train
