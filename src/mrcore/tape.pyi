# For mrcore alone: nothing here is called from Python.
