"""Every format that `package` knows, and writing one of them.

A format is a function from an artifact to files: nothing is compiled, and the same artifact gives the same
bytes. The built-in ones are in a table; others come from the entry points of the group
"edgecompile.packagers", each a `Format`.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecompile.core.artifact import Artifact, Emit
from edgecompile.core.registry import load_plugins
from edgecompile.core.store import make_folder, staged_directory, write_file
from edgecompile.errors import Problem, UsageError, did_you_mean
from edgecompile.packaging.manifest import Files, sealed
from edgecompile.packaging.options import PackageOptions

PLUGIN_GROUP = "edgecompile.packagers"

# What a kind of artifact is called.
_KINDS = {
    "lib": "a static library",
    "c": "C source",
    "tflite": "a TensorFlow Lite file",
    "onnx": "a context for Qualcomm's HTP",
    "mlpackage": "a Core ML model",
}
# The formats for what is no C code, other than the bundle.
_FORMATS = {"onnx": "android", "mlpackage": "swift"}
# In the order in which they are listed: the module edgecompile.packaging.<value> has the Format.
BUILT_IN = {
    "bundle": "bundle",
    "cmake": "cmake",
    "zephyr": "zephyr",
    "esp-idf": "esp_idf",
    "cmsis-pack": "cmsis_pack",
    "arduino": "arduino",
    "platformio": "platformio",
    "android": "android",
    "swift": "swift",
    "python": "wheel",
    "deb": "deb",
    "yocto": "yocto",
    "cargo": "cargo",
    "c-array": "c_array",
    "mcuboot": "mcuboot",
    "rauc": "rauc",
    "mender": "mender",
}


@dataclass(frozen=True)
class Format:
    """One form of package.

    `render` gives the files by path. With `single` they are put beside each other into the folder that the
    user names, which may hold other things; else they are that folder, with a manifest.json added. `emit`
    are the kinds of artifact that it takes, `weights` where these may have their weights. `machines` says
    which targets: any, those with an operating system, or those without.
    """

    name: str
    summary: str
    render: Callable[[Artifact, PackageOptions], Files]
    single: bool = False
    emit: tuple[str, ...] = ("lib", "c")
    weights: tuple[str, ...] = ("inside",)
    machines: str = "any"

    def check(self, artifact: Artifact, firmware: bool, options: PackageOptions) -> None:
        """Raise UsageError (EC2563, EC2564, EC2565) for what this format cannot hold."""
        manifest, problems = artifact.manifest, []
        if options.weights not in self.weights:
            fix = f"give --weights {' or '.join(self.weights)}"
            what = f"{self.name} does not take weights in '{options.weights}'"
            problems.append(Problem("EC2563", what, "--weights", "", fix))
        if options.place and "section" not in self.weights:
            what, fix = f"{self.name} has no linker script", "use --place with --format cmake"
            problems.append(Problem("EC2563", what, "--place", "", fix))
        if manifest.emit not in self.emit:
            wanted = " or ".join(_KINDS.get(emit, emit) for emit in self.emit)
            what, why = f"{self.name} takes {wanted}", f"this is {_KINDS[manifest.emit]}"
            problems.append(Problem("EC2564", what, str(artifact.path), why, self._fix(manifest.emit)))
        if artifact.target.backend == "cuda":
            what, why = (
                f"{self.name} takes networks that are functions in C",
                "this one is an engine on a GPU",
            )
            fix = "take include/, src/ and lib/ of the artifact as they are"
            problems.append(Problem("EC2564", what, str(artifact.path), why, fix))
        if self.machines != "any" and firmware != (self.machines == "firmware"):
            wanted = "microcontrollers" if self.machines == "firmware" else "targets with an operating system"
            fix = "see `edgecompile package --list`"
            what = f"{self.name} is for {wanted}"
            problems.append(Problem("EC2565", what, str(artifact.path), f"not {manifest.target}", fix))
        if problems:
            raise UsageError(*problems)

    def _fix(self, emit: Emit) -> str:
        """What to do with an artifact that is not for this format."""
        if emit in _FORMATS:
            return f"package it with --format {_FORMATS[emit]}"
        return "compile with --emit c" if "c" in self.emit else "compile with --emit lib"


def find_format(name: str) -> Format:
    """The format called `name`. Raises UsageError (EC2560); broken plug-ins are only warned about."""
    if name in BUILT_IN:
        module = importlib.import_module(f"edgecompile.packaging.{BUILT_IN[name]}")
        built_in: Format = module.FORMAT
        return built_in
    plugins = load_plugins(PLUGIN_GROUP)
    for warning in plugins.warnings:
        warnings.warn(warning, stacklevel=2)
    found = plugins.found.get(name)
    if not isinstance(found, Format):
        hint = did_you_mean(name, [*BUILT_IN, *plugins.found])
        raise UsageError(Problem("EC2560", f"unknown format '{name}'", "--format", "", hint))
    return found


def all_formats() -> tuple[Format, ...]:
    """The built-in formats, then those of plug-ins."""
    plugins = [name for name in load_plugins(PLUGIN_GROUP).found if name not in BUILT_IN]
    return tuple(map(find_format, [*BUILT_IN, *plugins]))


def package(artifact: Artifact, form: Format, options: PackageOptions, output: Path) -> tuple[Path, ...]:
    """Write `artifact` in the form `form` to the folder `output`; returns what was written.

    Raises UsageError as `Format.check`, and InputError (EC3030, EC3031, EC3032) when `output` cannot be
    written; it is then as it was.
    """
    form.check(artifact, artifact.target.toolchain.firmware, options)
    files = form.render(artifact, options)
    if form.single:
        return _write_beside(output, files)
    with staged_directory(output) as folder:
        write_files(folder, sealed(form.name, artifact, files, options))
    return (output,)


def write_files(folder: Path, files: Files) -> None:
    """Write `files` below `folder`, readable by everybody whatever the umask is."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o644)


def _write_beside(folder: Path, files: Files) -> tuple[Path, ...]:
    make_folder(folder)
    for name, data in files.items():
        write_file(folder / name, data)
    return tuple(folder / name for name in files)
