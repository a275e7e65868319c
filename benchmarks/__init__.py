"""Speed, measured: ours and the peer's in one run, turn and turn about, as ratios.

Never part of a timed test. `python -m benchmarks` prints a Markdown table; the figures and
the command live in docs/performance.md.
"""
