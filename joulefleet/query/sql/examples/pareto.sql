-- Which models does no other model beat in energy, time and quality together?
SELECT study, task, machine, model, j_per_item, energy_basis, s_per_item, quality, quality_metric, trials
FROM pareto_front()
ORDER BY study, task, machine, s_per_item
