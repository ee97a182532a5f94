"""What is printed of an NPU's part of a network."""

from __future__ import annotations

from edgecompile.cli.npu import describe_npu


def test_a_network_for_a_cpu_has_no_lines() -> None:
    assert describe_npu({"memory": {}}) == []


def test_estimates_are_called_so() -> None:
    report = {"estimates": {"by": "Vela", "total_cycles": 1234567}}
    assert describe_npu(report) == ["npu      1,234,567 cycles, estimated by Vela"]


def test_every_node_on_the_cpu_is_listed_with_its_reasons() -> None:
    node = {"node": "act", "operator": "Gelu", "reasons": ["it is none of its operators", "it is large"]}
    costs = {"npu_segments": 2, "switches": 3, "border_bytes": 2048, "macs": 200, "npu_macs": 150}
    assert describe_npu({"fallback": costs | {"nodes": [node]}}) == [
        "fallback 75.0 % of the products on the NPU, in 2 parts; 3 switches, 2.0 kB shared with the CPU",
        "on CPU   act (Gelu): it is none of its operators; it is large",
    ]
