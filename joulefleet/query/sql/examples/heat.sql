-- Which trials ran hot, or were throttled? The hottest first; null where the machine does not report it.
SELECT
    machine, model, task, block, position, temperature_baseline_c, temperature_max_c, throttle_events,
    cgroup_throttled_s, frequency_mean_mhz, frequency_min_mhz_seen, flags
FROM trials
WHERE status = 'ok'
ORDER BY throttle_events DESC NULLS LAST, temperature_max_c DESC NULLS LAST, machine, block, position
