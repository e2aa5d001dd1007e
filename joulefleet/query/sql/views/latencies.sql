-- Duration of each batch in the window of each trial, numbered from 1 (thinned above 20,000 batches).
SELECT
    trial_id,
    unnest(range(1, len(latencies_ns) + 1)) AS batch,
    unnest(latencies_ns) / 1e9 AS latency_s
FROM internal.accepted
