-- Later judgements of attempts.
SELECT * FROM internal.verdicts
