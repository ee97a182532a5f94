"""C compilers, archivers and linkers; and the runner, a program around a compiled network."""
