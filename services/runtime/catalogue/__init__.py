"""The model catalogue: what is shipped with a release, how it is read, and how it is made anew."""
