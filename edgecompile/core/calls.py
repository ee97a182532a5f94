"""Nodes that stand for a call of a C function which is not generated from the graph.

An accelerator's part of a network is one such node when the rest is lowered: in the domain DOMAIN, named like
the function. Its inputs, then its outputs, then WORKSPACE bytes (an attribute, unless 0) are the function's
parameters; LAYERS, another attribute, are the nodes of the network that the function computes.
"""

from __future__ import annotations

DOMAIN = "edgecompile.calls"
WORKSPACE = "workspace"
LAYERS = "layers"
