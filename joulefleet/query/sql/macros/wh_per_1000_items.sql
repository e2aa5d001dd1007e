-- Watt-hours for 1,000 items, from the joules of a number of items. Null where joules is null or items is 0.
CREATE MACRO wh_per_1000_items(joules, items) AS
joules / nullif(items, 0) * 1000 / 3600
