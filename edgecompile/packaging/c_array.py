"""One header and one source file, to be added to any build."""

from __future__ import annotations

import re

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of

# Generated code declares the functions it calls by the types of its own buffers. In one file that would
# contradict their definitions, so it calls them there by names of its own, which mean the same symbols.
_CALLED = re.compile(r"^(int32_t )(edgecompile_\w+)(\([^;{]*\));$", re.MULTILINE)
_INCLUDE = re.compile(r'^#include "([^"]+)"[^\n]*\n', re.MULTILINE)


def render_c_array(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME.h and NAME.c; the weights are an array in the latter."""
    parts, name = parts_of(artifact, options), artifact.manifest.name
    texts = {file: data.decode("utf-8") for file, data in parts.sources.items()}
    used = {f"{name}.h"}
    bodies = [f'#include "{name}.h"\n']
    # The entry comes last, so that it is read after what it calls.
    for file in sorted((f for f in texts if f.endswith(".c")), key=lambda f: (f == f"{name}.c", f)):
        text = _inlined(texts[file], texts, used)
        bodies.append(_with_own_names(text, name) if file.startswith(f"{name}_") else text)
    return {
        f"{name}.h": parts.headers[f"{name}.h"],
        f"{name}.c": "\n".join(bodies).encode(),
        **license_files(artifact, options),
    }


def _with_own_names(text: str, name: str) -> str:
    called = dict.fromkeys(match.group(2) for match in _CALLED.finditer(text))
    text = _CALLED.sub(r'\1\2\3 __asm__("\2");', text)
    for function in called:
        text = re.sub(rf'\b{function}\b(?!")', f"{name}_{function}", text)
    return text


def _inlined(text: str, texts: dict[str, str], used: set[str]) -> str:
    """`text` with every header that is not in `used` in the place of its #include; those are added to it."""

    def header(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in used or name not in texts:
            return "" if name in used else match.group(0)
        used.add(name)
        return _inlined(texts[name], texts, used)

    return _INCLUDE.sub(header, text)


FORMAT = Format("c-array", "one header and one C file", render_c_array, emit=("c",))
