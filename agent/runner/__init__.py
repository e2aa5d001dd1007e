"""The process in which the work runs, and the marks that it exchanges with the agent.

`pool` and `conversation` are the agent's side; `forkserver` imports torch once and forks a fresh process for each
request; `worker` is that process; `server` starts fork servers in another environment; `protocol` is their language.
"""
