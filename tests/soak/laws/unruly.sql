-- A coordinator ends with an exit code that is documented, and when its time has come.
SELECT number, code, said FROM events
WHERE what = 'ended' AND NOT killed AND (traceback OR code NOT IN (0, 4, 5, 7))
UNION ALL
SELECT number, NULL, concat('does not end: ', why) FROM events WHERE what = 'does_not_end'
