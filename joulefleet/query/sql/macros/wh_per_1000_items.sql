-- Watt-hours that 1,000 items cost, of the joules of so many items. Null where the joules are, or without items.
CREATE MACRO wh_per_1000_items(joules, items) AS
joules / nullif(items, 0) * 1000 / 3600
