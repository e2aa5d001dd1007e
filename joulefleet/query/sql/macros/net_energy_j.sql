-- Joules of the work alone: joules of the machine minus idle_w (idle power, W) times seconds.
-- Null where an argument is null. The column energy_net_j of trials uses the idle power pooled over a block.
CREATE MACRO net_energy_j(joules, idle_w, seconds) AS
joules - idle_w * seconds
