"""Fuzzing: doors (parsers with their laws), inputs, and the loop that puts one through the other."""
