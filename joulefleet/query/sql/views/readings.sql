-- Each reading of each trial: t_ns is CLOCK_MONOTONIC of that machine's boot, value in unit, null where unreadable.
SELECT
    trial_id, channel.channel AS channel, channel.unit AS unit, channel.source AS source,
    unnest(channel.t_ns) AS t_ns, unnest(channel.value) AS value
FROM (SELECT trial_id, unnest(readings) AS channel FROM internal.accepted)
