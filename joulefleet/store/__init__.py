"""The files of a store: where they lie, which of them count, and how they are read and written."""
