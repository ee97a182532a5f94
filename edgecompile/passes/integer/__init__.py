"""From a graph with QuantizeLinear and DequantizeLinear nodes to one with operators on integers."""
