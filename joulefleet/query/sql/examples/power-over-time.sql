-- How much power did the packages draw while a trial ran? Second by second, for the twenty newest trials.
WITH newest AS (
    SELECT trial_id, model, task
    FROM trials
    WHERE status = 'ok'
    ORDER BY started_at DESC
    LIMIT 20
),
steps AS (
    SELECT
        trial_id, channel, t_ns,
        min(t_ns) OVER (PARTITION BY trial_id) AS began_ns,
        value - lag(value) OVER series AS uj,
        t_ns - lag(t_ns) OVER series AS ns
    FROM readings
    SEMI JOIN newest USING (trial_id)
    WHERE unit = 'uJ'
    WINDOW series AS (PARTITION BY trial_id, channel ORDER BY t_ns)
)
SELECT
    trial_id, any_value(model) AS model, any_value(task) AS task, channel,
    floor((t_ns - began_ns) / 1e9)::BIGINT AS "second",
    1000 * sum(uj) / sum(ns) AS watts
FROM steps
JOIN newest USING (trial_id)
-- A step in which a counter wrapped is left out here; the joules of `trials` include it.
WHERE uj >= 0 AND ns > 0
GROUP BY trial_id, channel, "second"
ORDER BY trial_id, channel, "second"
