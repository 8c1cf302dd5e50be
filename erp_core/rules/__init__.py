"""What decides: values in, values out. No session, no clock; every function returns all problems, in documented order."""
