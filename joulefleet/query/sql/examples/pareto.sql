-- Which models are beaten by none in energy, time and quality together? Measured joules count, where all have them.
SELECT study, task, machine, model, j_per_item, energy_basis, s_per_item, quality, quality_metric, trials
FROM pareto_front()
ORDER BY study, task, machine, s_per_item
