-- Grams of CO2 equivalent for joules of electricity, where a kilowatt-hour causes g_per_kwh grams.
-- Null where joules is null. Pass one column of joules, so that measured and modelled joules stay apart.
CREATE MACRO grams_co2e(joules, g_per_kwh) AS
joules / 3.6e6 * g_per_kwh
