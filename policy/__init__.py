"""Who may write to whom, what may be attached, when to try again: decisions as pure functions."""
