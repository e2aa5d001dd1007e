-- The accepted attempt of each trial: of the newest round in which its whole comparison group has attempts
-- on one machine, else of the newest; within it ok before failed, then the lowest attempt. By rule, never
-- by value. Chosen among narrow rows, so that readings are not carried through the choice.
SELECT *
FROM attempts
SEMI JOIN (
    SELECT attempt_id
    FROM (
        SELECT
            attempt_id, trial_id, "round", status, attempt,
            comparison_group_size IS NULL
                OR count(DISTINCT trial_id) OVER same_round >= comparison_group_size AS whole
        FROM attempts
        WHERE kind = 'trial'
        WINDOW same_round AS (PARTITION BY study, place, block, comparison_group, "round", machine_id)
    )
    QUALIFY row_number() OVER (
        PARTITION BY trial_id ORDER BY whole DESC, "round" DESC, (status = 'ok') DESC, attempt, attempt_id
    ) = 1
) USING (attempt_id)
