"""The commands of `secure-inbox`, one file for each; what they do lives elsewhere."""
