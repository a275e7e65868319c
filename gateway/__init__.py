"""The composition root: commands, wiring, workers, timers; imports all, imported by none."""
