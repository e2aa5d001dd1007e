-- The accepted attempt of each trial: of the newest round in which its whole comparison group has attempts
-- on one machine, else of the newest; within it ok before failed, then the lowest attempt. By rule, never
-- by value. Nearly every trial has one attempt, so those are looked for that are not accepted: they are few,
-- and the rows themselves, with all their readings, pass by.
SELECT *
FROM attempts
ANTI JOIN (
    WITH narrow AS MATERIALIZED (
        SELECT
            attempt_id, trial_id, "round", status, attempt,
            study, place, block, comparison_group, comparison_group_size, machine_id
        FROM attempts
        WHERE kind = 'trial'
    ),
    tried_again AS (
        SELECT trial_id FROM narrow GROUP BY trial_id HAVING count(*) > 1
    ),
    beside AS (
        SELECT
            attempt_id, trial_id, "round", status, attempt,
            comparison_group_size IS NULL
                OR count(DISTINCT trial_id) OVER same_round >= comparison_group_size AS whole
        FROM narrow
        SEMI JOIN (
            SELECT DISTINCT study AS s, place AS p, block AS b FROM narrow SEMI JOIN tried_again USING (trial_id)
        ) ON study IS NOT DISTINCT FROM s AND place IS NOT DISTINCT FROM p AND block IS NOT DISTINCT FROM b
        WINDOW same_round AS (PARTITION BY study, place, block, comparison_group, "round", machine_id)
    )
    SELECT attempt_id
    FROM beside SEMI JOIN tried_again USING (trial_id)
    QUALIFY attempt_id <> first_value(attempt_id) OVER (
        PARTITION BY trial_id ORDER BY whole DESC, "round" DESC, (status = 'ok') DESC, attempt, attempt_id
    )
) USING (attempt_id)
WHERE kind = 'trial'
