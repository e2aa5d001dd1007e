"""What must be known beside a comparison: notes that warn and never change a number."""
