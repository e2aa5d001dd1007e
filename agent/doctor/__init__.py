"""What this machine can measure, what it cannot and why, and what spoils a measurement. It only reads.

`examine` reads the machine, `checks` and `container` judge what was read, `diagnosis` holds the result.
"""
