-- A coordinator ends with an exit code that is documented, and when its time has come; a study ends whole.
SELECT number, code, said FROM events
WHERE what = 'ended' AND NOT killed AND (traceback OR code NOT IN (0, 4, 5, 7))
UNION ALL
SELECT number, code, 'superseded, and does not say so' FROM events
WHERE what = 'ended' AND superseded AND NOT killed AND code <> 4
UNION ALL
SELECT NULL, code, concat('never finished: ', study) FROM events WHERE what = 'not_complete'
UNION ALL
SELECT number, NULL, concat('does not end: ', why) FROM events WHERE what = 'does_not_end'
