"""The learned choice: what a request is like, how well each model has done with its like, and whom to ask. Pure."""
