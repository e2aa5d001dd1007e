-- Each machine, described by its newest attempt.
SELECT
    machine_id,
    arg_max(machine, since) AS machine,
    arg_max(cpu_model, since) AS cpu_model,
    arg_max(sockets, since) AS sockets,
    arg_max(physical_cores, since) AS physical_cores,
    arg_max(logical_cpus, since) AS logical_cpus,
    arg_max(memory_bytes, since) AS memory_bytes,
    arg_max(virtualised, since) AS virtualised,
    count(*) AS attempts,
    min(started_at) AS first_seen,
    max(started_at) AS last_seen
FROM (
    -- Imported trials may have no time; they count as the oldest.
    SELECT *, coalesce(started_at, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS since FROM attempts
)
GROUP BY machine_id
