"""`edgecompile package`: an artifact in the form that a build system takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edgecompile.cli import ui
from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.core.artifact import Artifact
    from edgecompile.packaging.sign import Signer


@click.command("package")
@click.argument("artifact", type=click.Path(path_type=Path), required=False)
@click.option("--format", "-f", "form", metavar="FORMAT", help="What to write; see --list.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write.  [default: NAME-FORMAT]",
)
@click.option(
    "--version", default="1.0.0", show_default=True, metavar="X.Y.Z", help="The package's own version."
)
@click.option("--license", default="", metavar="SPDX", help="The network's licence, e.g. Apache-2.0.")
@click.option(
    "--weights",
    type=click.Choice(["inside", "section", "partition", "file"]),
    default="inside",
    show_default=True,
    help="Where the weights are: in the library, in a section, or apart, to be flashed or loaded.",
)
@click.option(
    "--place",
    multiple=True,
    metavar="model:ITCM",
    help="Put the model, or its code, weights or arena, into a memory of the linker script. May be repeated.",
)
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE.pem", help="Sign with this Ed25519 private key."
)
@click.option("--key-command", metavar="COMMAND", help="Sign with the private key that COMMAND prints.")
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Check a package instead of making one.",
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    metavar="FILE.pem",
    help="With --check: who has to have signed it.",
)
@click.option("--list", "list_formats", is_flag=True, help="List the formats.")
@ui.json_option
def command(
    artifact: Path | None,
    form: str | None,
    output: Path | None,
    version: str,
    license: str,  # noqa: A002
    weights: Literal["inside", "section", "partition", "file"],
    place: tuple[str, ...],
    key: Path | None,
    key_command: str | None,
    check: Path | None,
    public_key: Path | None,
    list_formats: bool,
    as_json: bool,
) -> None:
    """Write ARTIFACT, a folder of `compile` or a bundle, in another form. Nothing is compiled again.

    The same artifact gives the same bytes; SOURCE_DATE_EPOCH sets the date inside.
    """
    if list_formats:
        _list(as_json)
        return
    if check is not None:
        _check(check, public_key, as_json)
        return
    if artifact is None or form is None or public_key is not None:
        why = "--public-key is for --check" if public_key is not None else "ARTIFACT and --format are needed"
        fix = "edgecompile package NAME.edge --format cmake -o DIR, or --check BUNDLE"
        raise UsageError(Problem("EC2566", "nothing to package", "", why, fix))
    from edgecompile.packaging.formats import find_format, package
    from edgecompile.packaging.options import PackageOptions, parse_place, source_date

    chosen = find_format(form)
    options = PackageOptions(
        version, license, weights, parse_place(place), source_date(), _signer(key, key_command)
    )
    with opened_package(artifact) as opened:
        destination = output or Path(f"{opened.manifest.name}-{form}")
        written = package(opened, chosen, options, destination)
    record = {"format": form, "written": [str(path) for path in written]}
    ui.finish(record, "\n".join(f"wrote    {path}" for path in written), as_json)


@contextmanager
def opened_package(path: Path) -> Iterator[Artifact]:
    """The artifact in the folder or bundle `path`. A bundle is checked, and unpacked until the block ends."""
    from edgecompile.core.artifact import open_artifact

    if not path.is_file():
        yield open_artifact(path)
        return
    import tempfile

    from edgecompile.packaging.bundle import open_bundle

    with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
        yield open_bundle(path, Path(folder))


def _signer(key: Path | None, key_command: str | None) -> Signer | None:
    from edgecompile.packaging.sign import signer_from_command, signer_from_file

    if key is not None and key_command is not None:
        raise UsageError(Problem("EC2566", "two keys", "", "--key and --key-command are given", "give one"))
    if key is not None:
        return signer_from_file(key)
    return signer_from_command(key_command) if key_command else None


def _check(path: Path, public_key: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from edgecompile.packaging.check import check_package

    checked = check_package(path, public_key)
    manifest = checked.manifest
    signed = {
        "valid": f"valid, key {manifest.key_id[:16]}",
        "not checked": f"by key {manifest.key_id[:16]}, NOT checked (give --public-key)",
        "none": "none",
    }
    lines = [
        f"intact     {path}: {len(manifest.files)} files, every digest right",
        f"package    {manifest.name} {manifest.version} ({manifest.format}) for {manifest.target}",
        f"signature  {signed[checked.signature]}",
    ]
    ui.finish(asdict(manifest) | {"signature": checked.signature}, "\n".join(lines), as_json)


def _list(as_json: bool) -> None:
    from edgecompile.packaging.formats import all_formats

    formats = all_formats()
    rows = [(form.name, form.summary, ", ".join(form.weights)) for form in formats]
    record = {"formats": [{"name": form.name, "summary": form.summary} for form in formats]}
    ui.finish(record, ui.table(("FORMAT", "WHAT", "WEIGHTS"), rows), as_json)
