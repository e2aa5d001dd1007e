-- Every planned trial has an accepted attempt.
SELECT study, machine, model, task, block
FROM (SELECT study, machine, model, task, unnest(generate_series(1, repetitions)) AS block FROM plan)
ANTI JOIN accepted USING (study, machine, model, task, block)
ORDER BY ALL
