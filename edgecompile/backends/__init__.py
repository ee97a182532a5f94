"""One backend a module: a canonical model and a target go in, the files of an artifact come out."""
