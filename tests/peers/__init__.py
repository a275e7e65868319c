"""Servers that others wrote, run privately on loopback, to agree with or be measured against."""
