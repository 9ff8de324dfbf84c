"""Simulated providers: separate processes that speak OpenAI's and Anthropic's wire formats.

For newcomers without a provider key, for demonstrations and for rehearsals.
Every answer says that it is simulated. Faults are switched on at run time
(`POST /_faults`), so that failover can be watched.
"""
