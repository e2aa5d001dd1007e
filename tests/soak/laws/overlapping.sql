-- On a machine one attempt begins after the one before it has ended, whoever ordered them.
WITH spans AS (
    SELECT machine_id, machine, study, attempt_id, started_at,
        started_at + to_microseconds(CAST(wall_s * 1e6 AS BIGINT)) AS ended_at
    FROM (FROM rows UNION ALL FROM others)
    -- The coordinator writes such a row; nothing was measured then.
    WHERE reason IS DISTINCT FROM 'agent_lost'
), ordered AS (
    SELECT *, max(ended_at) OVER earlier AS before, arg_max(attempt_id, ended_at) OVER earlier AS overlapped
    FROM spans
    WINDOW earlier AS (
        PARTITION BY machine_id ORDER BY started_at, ended_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT machine, study, attempt_id, overlapped, before - started_at AS overlap
FROM ordered
-- Two clocks were read: one says when, the other how long.
WHERE overlap > INTERVAL 20 MILLISECONDS
