-- The comparisons of each study: its pairs, and its proofs (a_a, twice), whose true ratio is known.
SELECT DISTINCT study, pair, kind, teacher, student, expected_ratio
FROM internal.comparands
