"""Where calibration data come from: an .npz file, a folder, or a Python function.

An .npz has one array an input, named like it (or in_0, in_1, ...; x for the only one), samples along the
first axis. A folder has .npy or .npz files or images, read in the order of their names. A function, given as
module:function, returns anything that can be iterated over.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError, MissingToolError, Problem, UsageError, did_you_mean, reason
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.samples import Item, Samples

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_ARRAYS = (".npy", ".npz")
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp")


def open_samples(source: str, infos: tuple[TensorInfo, ...]) -> Samples:
    """The samples in `source` for a network with the inputs `infos`.

    Raises UsageError (EC2322) for a source of no known kind, InputError (EC3301, EC3305) for one that cannot
    be read or is empty, MissingToolError (EC5101) for images without Pillow.
    """
    path = Path(source)
    if path.is_dir():
        return _folder(path, infos)
    if path.suffix == ".npz":
        arrays = read_npz(path)
        lengths = {len(array) for array in arrays.values() if array.ndim}
        count = lengths.pop() if len(lengths) == 1 else None
        return Samples(lambda: [arrays], infos, source, count)
    if _CALLABLE.fullmatch(source):
        function = load_function(source)
        return Samples(lambda: _called(function, source), infos, source, None)
    why = "it is no .npz file, no folder and no module:function"
    fix = "give --calibrate data.npz, a folder, or package.module:function"
    raise UsageError(Problem("EC2322", f"cannot tell what '{source}' is", "--calibrate", why, fix))


def load_function(source: str) -> Callable[..., Any]:
    """The function "module:name"; modules in the current folder are found. Raises InputError (EC3307)."""
    module_name, _, name = source.partition(":")
    if not _CALLABLE.fullmatch(source):
        fix = "write it like package.module:function"
        raise InputError(Problem("EC3307", f"'{source}' names no function", "", "", fix))
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        why, fix = f"{type(error).__name__}: {error}", "start in the module's folder, or set PYTHONPATH"
        raise InputError(Problem("EC3307", f"cannot import '{module_name}'", source, why, fix)) from None
    for part in name.split("."):
        known = [word for word in dir(found) if not word.startswith("_")]
        if not hasattr(found, part):
            what, hint = f"there is no '{part}' in '{source}'", did_you_mean(part, known)
            raise InputError(Problem("EC3307", what, source, "", hint))
        found = getattr(found, part)
    if not callable(found):
        what, why = f"'{source}' is no function", f"its type is {type(found).__name__}"
        raise InputError(Problem("EC3307", what, "", why, "name a function of the module"))
    function: Callable[..., Any] = found
    return function


def call_function(function: Callable[..., Any], source: str, *arguments: Any) -> Any:
    """What the user's function returns; an exception in it is an InputError (EC3308)."""
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        why, fix = f"{type(error).__name__}: {error}", "call it by itself to see where"
        raise InputError(Problem("EC3308", f"'{source}' raised an exception", "", why, fix)) from None


def _called(function: Callable[..., Any], source: str) -> Iterator[Item]:
    result = call_function(function, source)
    if isinstance(result, np.ndarray | dict):
        result = [result]
    if not isinstance(result, Iterable):
        why = f"it returned a {type(result).__name__}"
        fix = "return arrays or dicts of arrays: a list, an array, or a generator"
        raise InputError(Problem("EC3308", f"'{source}' gives no samples", source, why, fix))
    yield from result


def _folder(path: Path, infos: tuple[TensorInfo, ...]) -> Samples:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in (*_ARRAYS, *_IMAGES))
    if not files:
        why, fix = "it has no .npy, .npz, .jpg, .png or .bmp files", "put samples of the inputs there"
        raise InputError(Problem("EC3305", "there are no calibration samples", str(path), why, fix))
    if any(file.suffix.lower() in _IMAGES for file in files):
        _require_pillow()
    single = all(file.suffix.lower() in _IMAGES for file in files)
    return Samples(
        lambda: (_read(file, infos) for file in files), infos, str(path), len(files) if single else None
    )


def _read(file: Path, infos: tuple[TensorInfo, ...]) -> Item:
    if file.suffix.lower() in _IMAGES:
        return _read_image(file, infos)
    if file.suffix == ".npz":
        return read_npz(file)
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays in an .npz file. Raises InputError (EC3301)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None


def _unreadable(
    path: Path, error: Exception, fix: str = "write it with numpy.savez or numpy.save"
) -> InputError:
    why = f"it is no {path.suffix} file, or damaged"
    if isinstance(error, OSError) and error.strerror:
        why, fix = reason(error), "check the path"
    return InputError(Problem("EC3301", "cannot read the data", str(path), why, fix))


def _require_pillow() -> None:
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        fix = "pip install pillow, or give the images as arrays"
        problem = Problem("EC5101", "Pillow, which reads images, is not installed", "", str(error), fix)
        raise MissingToolError(problem) from None


def _read_image(path: Path, infos: tuple[TensorInfo, ...]) -> Array:
    """The picture in the network's size, channels first, 0 to 1.

    Raises InputError (EC3302) for a network that does not take one picture.
    """
    from PIL import Image, UnidentifiedImageError

    shape = infos[0].shape
    if len(infos) != 1 or len(shape) != 4 or shape[0] != 1 or shape[1] not in (1, 3):
        why = "it must have one input of shape (1, 1 or 3, height, width)"
        fix = "give the data as .npz or module:function"
        problem = Problem("EC3302", "the network does not take one picture", str(path), why, fix)
        raise InputError(problem)
    try:
        with Image.open(path) as picture:
            plain = picture.convert("RGB" if shape[1] == 3 else "L")
            pixels = np.asarray(plain.resize((shape[3], shape[2]), Image.Resampling.BILINEAR))
    except (OSError, UnidentifiedImageError) as error:
        raise _unreadable(path, error, "save it again, or take it away") from None
    channels_first = pixels.reshape(shape[2], shape[3], shape[1]).transpose(2, 0, 1)
    return np.ascontiguousarray(channels_first[None], dtype=np.float32) / np.float32(255)
