"""Tests, mirroring the tree, and conversations with programs nobody here wrote."""
