"""Say which words are in a recording: 32-bit floats, [words, frames, bands]. It needs no edgecompile."""

import sys

import keywords  # type: ignore[import-not-found]  # the wheel that `edgecompile package` wrote
import numpy as np

WORDS = ("noise", "up", "down", "twice")

_, shape, dtype = keywords.INPUTS[0]
recording = np.fromfile(sys.argv[1], dtype).reshape(-1, *shape)
for word in recording:
    scores = keywords.run(word)[0]
    print(f"heard: {WORDS[scores.argmax()]:5}  score {scores.max():.2f}")
