-- Each version of each study; definition is the whole study as JSON.
SELECT * FROM internal.studies
