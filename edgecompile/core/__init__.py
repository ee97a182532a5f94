"""Types that every layer shares. Nothing here imports TVM, torch or a layer above."""
