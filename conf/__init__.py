"""Typed settings from one annotated TOML file; a bad one is refused with every fault named."""
