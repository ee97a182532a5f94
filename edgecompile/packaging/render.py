"""Files of a package from templates: one folder of Jinja2 templates a format.

A template's path is where its text goes: `NAME` in it stands for the network's name, and `.j2` at the end is
left out.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions


def render(folder: str, values: dict[str, Any], package: str = "edgecompile.packaging") -> Files:
    """Every template in `templates/<folder>` of the Python package `package`, filled in with `values`.

    A value that a template asks for and does not get is an error (StrictUndefined).
    """
    environment = _environment(package)
    prefix = f"{folder}/"
    names = [name for name in environment.list_templates() if name.startswith(prefix)]
    return {
        name[len(prefix) :].removesuffix(".j2").replace("NAME", values["name"]): environment.get_template(
            name
        )
        .render(values)
        .encode()
        for name in names
    }


@cache
def _environment(package: str) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def describe(artifact: Artifact, options: PackageOptions) -> dict[str, Any]:
    """What every template may ask for.

    `upper` prefixes the network's macros; `dashed` is its name where underscores are not usual; `processor`
    is the first word of the target's triple.
    """
    manifest = artifact.manifest
    target = artifact.target
    return {
        "name": manifest.name,
        "upper": manifest.name.upper(),
        "dashed": manifest.name.replace("_", "-").lower(),
        "version": options.version,
        "license": options.license,
        "weights": options.weights,
        "target": target.name,
        "target_description": target.description,
        "processor": target.isa.triple.split("-")[0],
        "pointer_bytes": target.isa.pointer_bits // 8,
        "firmware": target.toolchain.firmware,
        "emit": manifest.emit,
        "threads": manifest.threads,
        "memory": manifest.memory,
        "align": manifest.align,
        "entry": manifest.entry,
        "inputs": manifest.inputs,
        "outputs": manifest.outputs,
    }
