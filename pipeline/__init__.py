"""The library: how things are done. `stages` says what happens, in which order."""
