-- How much CPU time did the measurement itself use? In percent of one core, by machine.
SELECT
    machine,
    median(100 * observer_cpu_s / window_s) AS median_percent,
    max(100 * observer_cpu_s / window_s) AS worst_percent,
    median(100 * foreign_cpu_s / window_s) AS others_percent,
    count(*) AS trials
FROM trials
WHERE status = 'ok' AND window_s > 0
GROUP BY machine_id, machine
ORDER BY machine
