-- Each reading of each trial. t_ns is CLOCK_MONOTONIC of the machine, value is in unit, null where it was unreadable.
SELECT
    trial_id, channel.channel AS channel, channel.unit AS unit, channel.source AS source,
    unnest(channel.t_ns) AS t_ns, unnest(channel.value) AS value
FROM (SELECT trial_id, unnest(readings) AS channel FROM internal.accepted)
