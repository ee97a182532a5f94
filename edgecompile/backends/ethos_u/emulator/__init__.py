"""An executor of Ethos-U55 and Ethos-U65 command streams in NumPy, bit by bit."""
