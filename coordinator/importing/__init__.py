"""Data of other tools into a store: all of it is read and judged before anything is written."""
