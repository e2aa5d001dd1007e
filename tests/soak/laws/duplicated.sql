-- An attempt has one row; a planned trial one accepted attempt, and there are no other trials.
SELECT 'attempt' AS what, attempt_id AS which, count(*) AS times FROM loose GROUP BY ALL HAVING times > 1
UNION ALL
SELECT 'attempt', attempt_id, count(*) FROM compacted GROUP BY ALL HAVING count(*) > 1
UNION ALL
SELECT 'trial', concat_ws(' ', study, machine, model, task, block), count(*) FROM accepted GROUP BY ALL
HAVING count(*) > 1
UNION ALL
SELECT 'not planned', trial_id, 1 FROM accepted
ANTI JOIN (SELECT study, machine, model, task, unnest(generate_series(1, repetitions)) AS block FROM plan)
USING (study, machine, model, task, block)
