-- Did a machine drift from block to block? Time and power of each block against the first block of the same cells.
SELECT
    study, machine, block,
    min(started_at) AS began,
    exp(avg(ln(window_s / first_s))) AS times_the_first,
    avg(energy_package_j / window_s) AS package_w,
    avg(temperature_max_c) AS temperature_c,
    count(*) AS trials
FROM (
    SELECT *, first_value(window_s) OVER cell AS first_s
    FROM trials
    WHERE status = 'ok' AND window_s > 0
    WINDOW cell AS (
        PARTITION BY study, machine_id, protocol, model, task, batch_size, threads_requested, dtype, environment
        ORDER BY block, started_at
    )
)
GROUP BY study, machine_id, machine, block
ORDER BY study, machine, block
