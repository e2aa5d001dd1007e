"""What this machine can measure, what not, why, and the cure. It only reads."""
