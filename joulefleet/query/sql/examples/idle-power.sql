-- How much power does each idle machine draw, and what share of a trial's power is that?
SELECT
    machine, energy_scope, energy_provenance,
    median(baseline_w) AS idle_w,
    min(baseline_w) AS lowest_w,
    max(baseline_w) AS highest_w,
    median(energy_j / window_s) AS busy_w,
    median(baseline_w * window_s / energy_j) AS idle_share,
    count(*) AS trials
FROM trials
WHERE status = 'ok' AND window_s > 0
GROUP BY machine_id, machine, energy_scope, energy_source, energy_provenance
ORDER BY machine
