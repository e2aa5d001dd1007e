-- The accepted attempt of each trial: from the newest round in which all of its comparison group was tried on one
-- machine, else from the newest round; in that round an ok attempt before a failed one, then the lowest attempt number.
-- The values that were measured play no part. Nearly every trial has one attempt, so the query finds the few attempts
-- that are not accepted and removes them, without touching the readings of the others.
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
    same_blocks AS (
        SELECT
            attempt_id, trial_id, "round", status, attempt,
            comparison_group_size IS NULL
                OR count(DISTINCT trial_id) OVER same_round >= comparison_group_size AS complete
        FROM narrow
        SEMI JOIN (
            SELECT DISTINCT study AS s, place AS p, block AS b FROM narrow SEMI JOIN tried_again USING (trial_id)
        ) ON study IS NOT DISTINCT FROM s AND place IS NOT DISTINCT FROM p AND block IS NOT DISTINCT FROM b
        WINDOW same_round AS (PARTITION BY study, place, block, comparison_group, "round", machine_id)
    )
    SELECT attempt_id
    FROM same_blocks SEMI JOIN tried_again USING (trial_id)
    QUALIFY attempt_id <> first_value(attempt_id) OVER (
        PARTITION BY trial_id ORDER BY complete DESC, "round" DESC, (status = 'ok') DESC, attempt, attempt_id
    )
) USING (attempt_id)
WHERE kind = 'trial'
