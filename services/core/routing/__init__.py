"""Routing: from a request's facts to an ordered plan, and the reasons for it."""
