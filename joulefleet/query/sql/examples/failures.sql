-- Which trials failed, why, and did a later attempt succeed?
SELECT
    study, model, task, machine, reason,
    count(*) AS attempts,
    count(*) FILTER (trial_status = 'ok') AS later_ok,
    any_value(message) AS message
FROM (
    SELECT a.*, t.status AS trial_status
    FROM attempts AS a LEFT JOIN trials AS t USING (trial_id)
    WHERE a.status = 'failed'
)
GROUP BY study, model, task, machine, reason
ORDER BY attempts DESC, study, model, task
