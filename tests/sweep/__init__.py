"""`certgen apply` cut short at every call by which it touches a tree, and what must hold then and afterwards.

The points come from a trace of an undisturbed run by strace; strace also kills the run there, or makes the call fail.
SIGKILL comes as the call is entered, and the call is not carried out: the disk is what the calls before it made it.
"""
