"""Where data lies in memory: which values are stored with permuted axes, chosen by a minimum cut."""
