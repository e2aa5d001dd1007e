-- Each study as it was asked; definition is the whole of it as JSON.
SELECT * FROM internal.studies
