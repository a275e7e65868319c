"""What leaves: attempts, their schedule, and what is told when they fail."""
