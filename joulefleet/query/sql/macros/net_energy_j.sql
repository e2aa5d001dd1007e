-- Joules that the work alone cost: those of the machine, less what it draws when idle (idle_w, W) times seconds.
-- Null where one of them is. The view trials has it as energy_net_j, with the baseline pooled over a block.
CREATE MACRO net_energy_j(joules, idle_w, seconds) AS
joules - idle_w * seconds
