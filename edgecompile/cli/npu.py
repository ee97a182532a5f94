"""What an NPU computes of a network and what is left to the CPU, for people."""

from __future__ import annotations

from typing import Any

from edgecompile.cli import ui


def describe_npu(report: dict[str, Any]) -> list[str]:
    """Lines about the `estimates` of the NPU's compiler and the `fallback`, where a report has them."""
    estimates, fallback = report.get("estimates"), report.get("fallback")
    lines = []
    if estimates is not None and "total_cycles" in estimates:
        lines.append(f"npu      {estimates['total_cycles']:,} cycles, estimated by {estimates['by']}")
    if fallback is None:
        return lines
    share = 100 * fallback["npu_macs"] / (fallback["macs"] or 1)
    lines.append(
        f"fallback {share:.1f} % of the products on the NPU, in {fallback['npu_segments']} parts; "
        f"{fallback['switches']} switches, {ui.size(fallback['border_bytes'])} shared with the CPU"
    )
    for entry in fallback["nodes"]:
        lines.append(f"on CPU   {entry['node']} ({entry['operator']}): {'; '.join(entry['reasons'])}")
    return lines
