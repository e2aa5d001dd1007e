-- Grams of CO2 equivalent of some joules, where a kilowatt-hour of electricity causes g_per_kwh of them.
-- Null where the joules are. It takes the joules of one column, so measured and modelled ones never meet in it.
CREATE MACRO grams_co2e(joules, g_per_kwh) AS
joules / 3.6e6 * g_per_kwh
