"""What made the code of a candidate: the versions that every record names."""

from __future__ import annotations

from importlib.metadata import version

from edgecompile import __version__

# Beside edgecompile, the names of things that decide what code is generated.
_TOOLS = ("apache-tvm", "apache-tvm-ffi")


def tool_versions() -> dict[str, str]:
    """Versions by name."""
    return {"edgecompile": __version__} | {tool: version(tool) for tool in _TOOLS}
